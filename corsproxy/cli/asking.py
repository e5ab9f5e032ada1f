"""
How the command line finds the admin listener of a running proxy, and asks it.

A probe runs every few seconds with little processor time to spend, so nothing is imported here that a start could do without: no
aiohttp, no asyncio, and YAML only where the file says something about `admin`.
"""

import argparse
import http.client
import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

_DEFAULT: Final = "127.0.0.1:9876"
_DEFAULT_FILES: Final = ("corsproxy.yaml", "/etc/corsproxy/corsproxy.yaml")
_FILE_VARIABLE: Final = "CORSPROXY_CONFIG"
_VARIABLE: Final = "CORSPROXY_ADMIN_LISTEN"
_OFF: Final = "off"
_UNIX: Final = "unix:"
_MAX_FILE_BYTES: Final = 1024 * 1024
_MAX_ANSWER_BYTES: Final = 16 * 1024 * 1024


class NotReachable(Exception):
    """Nobody could be asked; the text says why."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where to ask: a host and a port, or the path of a unix socket."""

    host: str = ""
    port: int = 0
    unix_path: str = ""

    def __str__(self) -> str:
        """Write it as people would."""
        if self.unix_path:
            return f"{_UNIX}{self.unix_path}"
        return f"http://[{self.host}]:{self.port}" if ":" in self.host else f"http://{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back."""

    status: int
    body: bytes


def add_address_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags that say whom to ask."""
    parser.add_argument("-c", "--config", metavar="FILE", help="the file that the proxy runs by, for the address in it")
    parser.add_argument(
        "--url",
        metavar="URL",
        help="the admin listener: http://host:port or unix:/path (default: what CORSPROXY_ADMIN_LISTEN or the file says)",
    )


def find_address(arguments: argparse.Namespace, environ: Mapping[str, str] | None = None) -> Address:
    """Return the address of the admin listener, by the rules that `run` has: flags, then variables, then the file. Raises NotReachable."""
    environ = os.environ if environ is None else environ
    if arguments.url is not None:
        return _of_url(arguments.url)
    said = environ.get(_VARIABLE) or _of_file(arguments.config or environ.get(_FILE_VARIABLE) or None, environ) or _DEFAULT
    if said == _OFF:
        raise NotReachable('the admin listener is closed: `admin.listen` is "off"')
    return _of_listen(said)


def ask(address: Address, method: str, path: str, timeout_s: float) -> Reply:
    """Make one request. Raises NotReachable."""
    connection: http.client.HTTPConnection
    if address.unix_path:
        connection = _UnixConnection(address.unix_path, timeout_s)
    else:
        connection = http.client.HTTPConnection(address.host, address.port, timeout=timeout_s)
    # The listener answers for this name, whatever its address is called.
    headers = {"Host": "localhost", "Connection": "close"} | ({"Content-Type": "application/json"} if method == "POST" else {})
    try:
        connection.request(method, path, headers=headers)
        answer = connection.getresponse()
        return Reply(answer.status, answer.read(_MAX_ANSWER_BYTES))
    except TimeoutError:
        raise NotReachable(f"{address}: no answer within {timeout_s:g} s") from None
    except (OSError, http.client.HTTPException) as error:
        reason = (getattr(error, "strerror", "") or str(error)).lower()
        raise NotReachable(f"{address}: {reason or 'no answer that is one'}") from None
    finally:
        connection.close()


class _UnixConnection(http.client.HTTPConnection):
    """A connection by a unix socket."""

    def __init__(self, path: str, timeout_s: float) -> None:
        super().__init__("localhost", timeout=timeout_s)
        self._path = path

    def connect(self) -> None:
        """Connect."""
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def _of_url(text: str) -> Address:
    if text.startswith(_UNIX):
        return Address(unix_path=text.removeprefix(_UNIX))
    if "://" not in text:
        return _of_listen(text)
    try:
        split = urlsplit(text)
        if split.scheme == "http" and split.hostname and split.path in ("", "/"):
            return Address(split.hostname, split.port or 80)
    except ValueError:
        pass
    raise NotReachable(f"`{text}` is no address of an admin listener: write http://host:port or unix:/path")


def _of_listen(text: str) -> Address:
    """Read an address as `admin.listen` has it. All interfaces are asked by loopback."""
    if text.startswith(_UNIX):
        return Address(unix_path=text.removeprefix(_UNIX))
    host, _, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not (port.isascii() and port.isdigit() and int(port) < 65536):
        raise NotReachable(f"`{text}` is no address of an admin listener: write host:port or unix:/path")
    if int(port) == 0:
        raise NotReachable("the port of the admin listener is 0, any free one: name the one that the log says with `--url`")
    return Address({"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host), int(port))  # noqa: S104 - it is only read


def _of_file(name: str | None, environ: Mapping[str, str]) -> str:
    """Return what the file says, if there is one that can be read and says something."""
    name = name or next((each for each in _DEFAULT_FILES if Path(each).is_file()), None)
    if name is None:
        return ""
    try:
        with Path(name).open("rb") as file:
            content = file.read(_MAX_FILE_BYTES)
    except (OSError, ValueError):
        return ""
    if b"admin" not in content:
        return ""
    from corsproxy.config.peek import admin_address  # noqa: PLC0415 - it reads YAML, which costs more than the rest together

    return admin_address(content.decode("utf-8", "replace"), environ)
