"""
Addresses: where to listen, which upstream to call, under which URL browsers know the proxy, which hosts it answers for.

It knows the spellings and says what to write instead; it resolves nothing and opens nothing.
"""

import ipaddress
import re
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from corsproxy import problems
from corsproxy.config.keys_admin import OFF
from corsproxy.config.paths import parse_base_path
from corsproxy.config.settings import Listen
from corsproxy.config.upstreams import Upstream
from corsproxy.cors.origin import looks_like_ipv4, parse_origin, respell
from corsproxy.problems import Fault
from corsproxy.semantics.networks import UNIX, Network, parse_network

# `sun_path` holds 108 bytes on Linux and 104 on macOS, a NUL at the end included.
MAX_UNIX_PATH_BYTES: Final = 103
# RFC 1035 2.3.4 has names of 255 octets; a URL over a few kilobytes is a mistake.
MAX_HOST: Final = 253
MAX_URL: Final = 2000

_DEFAULT_PORTS: Final = {"http": 80, "https": 443}
_NAME: Final = re.compile(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*\.?")
# UTS 46 section 7, table 4.
_DEVIATIONS: Final = re.compile("[ßẞς\u200c\u200d]")
_NUMBERS: Final = re.compile("([0-9]+):[0-9]+")
# YAML 1.1 has integers in base 60.
_SEXAGESIMAL: Final = re.compile("[1-9][0-9]*:[0-5]?[0-9]")
_BRACKETED: Final = re.compile(r"\[[^\]]*\](:[0-9]*)?")
# > ZoneID = 1*( unreserved / pct-encoded ) (RFC 6874 2)
_IPV6: Final = re.compile("[0-9A-Fa-f:.]+(?:%[A-Za-z0-9._~-]+)?")
_UNIX: Final = "unix:"
ANY_HOST: Final = "*"
# What people write for an address that is not there.
_OTHER_OFF: Final = frozenset({OFF, "false", "no", "none", "null", "disabled", "disable", "0"})


@dataclass(frozen=True, slots=True)
class _Authority:
    host: str
    port: int | None


def _bad(message: str, help_: str) -> Fault:
    return Fault(problems.BAD_ADDRESS, (), message, help_)


def parse_listen(text: str) -> Listen | Fault:
    """
    Read an address to listen on; a Fault (with an empty path) says what to write instead.

    Pure; never raises.
    """
    if text.startswith(_UNIX):
        path = text.removeprefix(_UNIX)
        fault = _unix_fault(text, path)
        return fault or Listen(unix_path=path)
    if text.isascii() and text.isdigit():
        return _bad(f"`{text}` is a port without a host", f"write `:{text}` for all interfaces, or `127.0.0.1:{text}`")
    if match := _NUMBERS.fullmatch(text):
        help_ = f"write `:{match[1]}` for all interfaces, or `127.0.0.1:{match[1]}`"
        if _SEXAGESIMAL.fullmatch(text):
            return Fault(problems.YAML_TRAP, (), f"`{text}` is a number in base 60 to some YAML readers, and no address to any", help_)
        return _bad(f"`{text}` has a number for its host", help_)
    if "://" in text:
        rest = re.split(r"[/?#]", text.partition("://")[2])[0]
        return _bad(f"`{text}` is a URL, and an address to listen on has no scheme", f"write `{rest or '127.0.0.1:8080'}`")
    if text.startswith("/"):
        return _bad(f"`{text}` is a path", f"write `unix:{text}` for a unix socket")
    if text.startswith("*:"):
        return _bad(f"`{text}` has a `*` for its host", f"write `{text[1:]}` for all interfaces")
    found = _authority(text, is_listen=True)
    if isinstance(found, Fault):
        return found
    if found.port is None:
        host = f'"[{found.host}]:8080"' if ":" in found.host else f"{found.host}:8080"
        return _bad(f"`{text}` lacks a port", f"write `{host}`")
    return Listen(found.host, found.port)


def parse_listen_or_off(text: str) -> Listen | str | Fault:
    """
    Read the address of the admin listener, or the word that closes it.

    Pure; never raises.
    """
    if text == OFF:
        return text
    if text.lower() in _OTHER_OFF:
        return _bad(f"`{text}` is not an address", 'write `listen: "off"` to close it')
    return parse_listen(text)


def parse_upstream(text: str) -> Upstream | Fault:
    """
    Read an upstream's URL; a Fault (with an empty path) says what to write instead.

    Pure; never raises. The scheme and the host are taken in any case and kept in lower case.

    Spec: RFC 3986 3; RFC 9110 4.2; RFC 9112 3.2.
    """
    if text.startswith(_UNIX) and not text.startswith("unix://"):
        return _unix_upstream(text)
    if "@" in re.split(r"[/?#]", text.partition("://")[2] or text, maxsplit=1)[0]:
        help_ = 'take out what stands before the `@`, and write `headers: {request: {set: {Authorization: "${UPSTREAM_AUTHORIZATION}"}}}`'
        return _bad("an upstream's URL has no user name and no password", help_)
    scheme, rest = _scheme(text)
    if isinstance(rest, Fault):
        return rest
    split = re.split(r"(?=[/?#])", rest, maxsplit=1)
    authority, tail = split[0], split[1] if len(split) > 1 else ""
    fault = _tail_fault(tail, text)
    if fault is not None:
        return fault
    found = _authority(authority, is_listen=False)
    if isinstance(found, Fault):
        return found
    path = parse_base_path(tail)
    if isinstance(path, Fault):
        return path
    default = _DEFAULT_PORTS[scheme]
    port = found.port or default
    # > a zone identifier … MUST be removed … from any outgoing … URI (RFC 6874 4): it means something on this machine only.
    host = f"[{found.host.partition('%')[0]}]" if ":" in found.host else found.host
    # > A client MUST send a Host header field … If the target URI includes an authority component, then … identical
    # > to that authority component. (RFC 9112 3.2) A default port is left out, as RFC 9110 4.2.3 normalizes it.
    return Upstream(
        url=text,
        host=found.host,
        port=port,
        authority=(host if port == default else f"{host}:{port}").encode(),
        path=path,
        tls=scheme == "https",
    )


def parse_public_url(text: str) -> bytes | Fault:
    """
    Read one URL of `public_url` as the serialized origin that browsers know the proxy by.

    Pure; never raises.

    Spec: HTML #ascii-serialisation-of-an-origin.
    """
    if len(text) > MAX_URL:
        return _bad(f"`{text}` is too long for a URL", f"write {MAX_URL} characters at most")
    right, reason = respell(text)
    if reason:
        return _bad(f"`{text}` is not how browsers spell it: {reason}", f"write `{right.decode() if right else 'https://api.example.com'}`")
    origin = parse_origin(text.encode())
    if origin is None or origin.scheme not in (b"http", b"https"):
        return _bad(f"`{text}` is neither http nor https", "write `https://api.example.com`")
    return origin.serialize()


def parse_host(text: str) -> str | Fault:
    """
    Read one entry of `hosts` as the Host field has it, without a port: a name, `*.name`, an IP literal, or `*`.

    Pure; never raises.

    Spec: RFC 9110 7.2; URL #host-serializing.
    """
    if text == ANY_HOST:
        return text
    wildcard = "*." if text.startswith("*.") else ""
    plain = text.removeprefix(wildcard)
    authority = re.split(r"[/?#]", plain.rpartition("://")[2], maxsplit=1)[0]
    name = re.sub(r":[0-9]*\Z", "", authority)
    fault = _no_host(text, plain, authority, name)
    host = fault or _host(name, is_listen=False)
    if isinstance(host, Fault):
        return host
    # What is compared is what browsers send, and they spell IPv6 addresses in a way of their own.
    host = (respell(f"http://[{host}]")[0] or b"").decode().removeprefix("http://") if name.startswith("[") else host
    if wildcard and (name.startswith("[") or looks_like_ipv4(host.encode())):
        return _bad(f"`{text}` has a wildcard before an IP address, which has no subdomains", f"write `{host}`")
    if plain == host:
        return text
    reason = "is not how browsers spell it"
    if authority != plain:
        reason = "is a URL, and a host is only its name"
    elif authority != name:
        reason = "has a port, and a host is answered on every port"
    return _bad(f"`{text}` {reason}", f'write `"{wildcard}{host}"`' if wildcard or name.startswith("[") else f"write `{host}`")


def parse_server_name(text: str) -> str | Fault:
    """
    Read the name that an upstream's certificate is valid for: a host name, or an IP address without brackets.

    Pure; never raises.

    Spec: RFC 6066 3; RFC 9525 3.
    """
    with suppress(ValueError):
        if "%" not in text:
            return str(ipaddress.ip_address(text))
    plain = re.split(r"[/?#]", text.rpartition("://")[2], maxsplit=1)[0]
    found = _authority(plain, is_listen=False)
    if isinstance(found, _Authority) and (plain != text or found.port is not None or text.startswith("[")):
        return _bad(f"`{text}` is not a name alone", f"write `{found.host}`")
    return found if isinstance(found, Fault) else found.host.rstrip(".")


def parse_trusted(text: str) -> Network | str | Fault:
    """
    Read one entry of `trusted_proxies`: an address, a network, or "unix".

    Pure; never raises.

    Spec: RFC 4632 3.1; RFC 4291 2.3.
    """
    if text == UNIX:
        return text
    network = parse_network(text)
    if network is not None:
        return network
    with suppress(ValueError):
        right = ipaddress.ip_network(text, strict=False)
        return _bad(f"`{text}` is an address inside of a network, not the network", f"write `{right}`")
    return _bad(f"`{text}` is neither an address nor a network", "write `10.0.0.0/8`, `192.0.2.7`, `fd00::/8` or `unix`")


def _no_host(text: str, plain: str, authority: str, name: str) -> Fault | None:
    """Say why an entry of `hosts` cannot be read at all."""
    if plain.startswith(".") and plain[1:]:
        return _bad(f"`{text}` begins with a dot", f'write `"*{plain}"` for its subdomains, and `{plain[1:]}` for itself')
    if "*" in plain:
        return _bad(f"`{text}` has a `*` that stands for nothing", 'write `"*.example.com"` for any subdomain, or `"*"` for any host')
    if authority.count(":") > 1 and _BRACKETED.fullmatch(authority) is None:
        address = _ipv6(authority)
        if address is not None:
            return _bad(f"`{text}` is an IPv6 address without brackets", f'write `"[{address}]"`')
        return _bad(f"`{text}` has more than one colon", "write the name alone")
    return None if name else _bad(f"`{text}` is not a host name", 'write `api.example.com`, `"*.example.com"` or `"*"`')


def _unix_fault(text: str, path: str) -> Fault | None:
    if not path.startswith("/"):
        return _bad(f"`{text}` names no absolute path", f"write `unix:/run/{path or 'corsproxy.sock'}`")
    if path.startswith("//"):
        return _bad(f"`{text}` has slashes of a URL", f"write `unix:/{path.lstrip('/')}`")
    if not path.isprintable():
        return _bad(f"`{text}` holds a character that no path should have", "take it out")
    if len(path.encode("utf-8", "surrogateescape")) > MAX_UNIX_PATH_BYTES or path.endswith("/"):
        return _bad(f"`{text}` is no path of a socket", f"write the path of a file, of {MAX_UNIX_PATH_BYTES} bytes at most")
    return None


def _unix_upstream(text: str) -> Upstream | Fault:
    socket, colon, base = text.removeprefix(_UNIX).partition(":/")
    path = parse_base_path("/" + base if colon else "")
    fault = _unix_fault(_UNIX + socket, socket)
    if fault is not None:
        return fault
    if isinstance(path, Fault):
        return path
    return Upstream(url=text, host="", port=0, authority=b"localhost", path=path, unix_path=socket)


def _scheme(text: str) -> tuple[str, str | Fault]:
    """Split an upstream's URL into its scheme and the rest, which is a Fault when the scheme is none of ours."""
    scheme, separator, rest = text.partition("://")
    scheme = scheme.lower()
    if len(text) > MAX_URL:
        return scheme, _bad(f"`{text}` is too long for a URL", f"write {MAX_URL} characters at most")
    if not text or text != text.strip():
        return scheme, _bad(f"`{text}` is not a URL", "write `http://localhost:9000`, without spaces around it")
    if separator and scheme in _DEFAULT_PORTS:
        return scheme, rest
    if separator and scheme in ("ws", "wss"):
        secure = "s" if scheme == "wss" else ""
        return scheme, _bad(f"`{scheme}` is not a scheme of an upstream", f"write `http{secure}://{rest}`: WebSockets begin as HTTP")
    if separator and "unix" in scheme:
        return scheme, _bad(f"`{text}` is not how a unix socket is spelled", f"write `unix:/{rest.lstrip('/')}`")
    if separator:
        return scheme, _bad(f"`{scheme}` is not a scheme of an upstream", f"write `http://{rest}` or `https://{rest}`")
    if text.isascii() and text.isdigit():
        return scheme, _bad(f"`{text}` is a port, not a URL", f"write `http://localhost:{text}`")
    if text.startswith("$") and "://" not in text:
        return scheme, _bad(f"`{text}` is no URL, and a variable has braces", f"write `${{{text[1:]}}}`")
    if text.startswith("/"):
        return scheme, _bad(f"`{text}` is a path, not a URL", f"write `unix:{text}` for a unix socket, or `http://localhost:9000{text}`")
    plain = re.sub(r"^https?(:/*|//+)", "", text, flags=re.IGNORECASE)
    name = "https" if text.lower().startswith(("https:", "https//")) or plain.endswith(":443") else "http"
    return scheme, _bad(f"`{text}` has no scheme", f"write `{name}://{plain or 'localhost:9000'}`")


def _tail_fault(tail: str, text: str) -> Fault | None:
    help_ = f"write `{re.split('[?#]', text)[0]}`"
    if "?" in tail:
        return _bad(f"an upstream's URL has no query, and this has `{tail[tail.index('?') :]}`", help_)
    if "#" in tail:
        return _bad(f"an upstream's URL has no fragment, and this has `{tail[tail.index('#') :]}`", help_)
    return None


def _authority(text: str, *, is_listen: bool) -> _Authority | Fault:
    if not text.startswith("[") and text.count(":") > 1:
        return _bare_ipv6(text, is_listen=is_listen)
    match = re.fullmatch(r"(\[[^\]]*\]|[^:\[]*)(?::(.*))?", text, flags=re.DOTALL)
    if match is None:
        return _bad(f"`{text}` is not a host and a port", "write `host:port`, or `[::1]:port`")
    host = _host(match.group(1), is_listen=is_listen)
    if isinstance(host, Fault):
        return host
    digits = match.group(2)
    if digits is None:
        return _Authority(host, None)
    least = 0 if is_listen else 1
    help_ = f"write a number from {least} to 65535"
    if re.fullmatch("[0-9]{1,9}", digits) is None:
        return _bad(f"`{digits}` is not a port" if digits else "the port behind the colon is missing", help_)
    if not least <= int(digits) <= 65535:
        return Fault(problems.OUT_OF_RANGE, (), f"there is no port {int(digits)}", help_)
    return _Authority(host, int(digits))


def _bare_ipv6(text: str, *, is_listen: bool) -> Fault:
    address, _, port = text.rpartition(":")
    if _ipv6(address) is not None and port.isascii() and port.isdigit():
        right = f"[{address}]:{port}"
    elif _ipv6(text) is not None:
        right = f"[{text}]:8080" if is_listen else f"[{text}]"
    else:
        return _bad(f"`{text}` has more than one colon", "write `host:port`")
    return _bad(f"`{text}` is an IPv6 address without brackets", f'write `"{right}"`' if is_listen else f"write `{right}`")


def _host(text: str, *, is_listen: bool) -> str | Fault:
    if not text:
        return "" if is_listen else _bad("the URL has no host", "write `http://localhost:9000`")
    if text.startswith("["):
        address = _ipv6(text[1:-1])
        return address if address is not None else _bad(f"`{text}` is not an IPv6 address", "write one as `[::1]`")
    if not text.isascii():
        return _bad(f"`{text}` is not ASCII", _punycode_help(text))
    if looks_like_ipv4(text.lower().encode()):
        try:
            return str(ipaddress.IPv4Address(text))
        except ValueError:
            return _bad(f"`{text}` is not an IPv4 address", "write four numbers from 0 to 255: `127.0.0.1`")
    if _NAME.fullmatch(text) is None or len(text) > MAX_HOST:
        return _bad(f"`{text}` is not a host name", "use letters, digits, `-`, `_` and single dots")
    return text.lower()


def _ipv6(text: str) -> str | None:
    # ipaddress takes anything for a zone, line breaks as well.
    if _IPV6.fullmatch(text) is None:
        return None
    try:
        return ipaddress.IPv6Address(text).compressed
    except ValueError:
        return None


def _punycode_help(text: str) -> str:
    # Python's codec knows IDNA 2003; these characters name another host in IDNA 2008, which browsers follow.
    if _DEVIATIONS.search(text) is None:
        with suppress(UnicodeError):
            return f"write `{text.encode('idna').decode()}`"
    return "write the name in punycode (`xn--…`)"
