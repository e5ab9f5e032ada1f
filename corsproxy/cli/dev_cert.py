"""Make a certificate for https in development, and the local authority that signs it; no trust store is changed."""

import argparse
import ipaddress
import json
import re
import shlex
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from corsproxy import problems
from corsproxy.cli.exits import EXIT_STARTUP, EXIT_USAGE
from corsproxy.cli.term import complain, write_out
from corsproxy.config.addresses import ANY_HOST, parse_host
from corsproxy.problems import Fault, Problem

if TYPE_CHECKING:
    from corsproxy.cli.local_ca import Issued, LocalAuthority

DEFAULT_DIRECTORY: Final = "corsproxy-certs"

_PLAIN: Final = re.compile(r"[A-Za-z0-9_./][A-Za-z0-9_./+-]*")

_ADVICE: Final = """
Put this into the policy file:

  tls:
    cert_file: {cert}
    key_file: {key}

Browsers refuse it until they trust {ca}. No trust store was changed; to change one yourself:

  Debian, Ubuntu    sudo cp {ca_quoted} /usr/local/share/ca-certificates/corsproxy-dev.crt && sudo update-ca-certificates
  macOS             sudo security add-trusted-cert -d -r trustRoot -k /Library/Keychains/System.keychain {ca_quoted}
  Chromium (Linux)  certutil -d "sql:$HOME/.pki/nssdb" -A -t C,, -n corsproxy-dev -i {ca_quoted}     (package libnss3-tools)
  Firefox           Settings, Privacy & Security, View Certificates, Authorities, Import
  curl              curl --cacert {ca_quoted} https://{host}:PORT/

Keep {ca_key} to yourself, and off other machines:
whoever has it can impersonate ANY site to everybody who trusts {ca}.
"""


class CannotCertify(Exception):
    """No certificate can be made. `problem` is the catalogue's entry, `help` what to do where that does not say it."""

    def __init__(self, problem: Problem, message: str, help_: str = "") -> None:
        super().__init__(message)
        self.problem = problem
        self.help = (help_,) if help_ else ()


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `dev-cert`."""
    parser.add_argument("hosts", nargs="+", metavar="HOST", help="what it is for: a name, `*.name` (quote it), or an IP address")
    parser.add_argument("--dir", metavar="DIR", default=DEFAULT_DIRECTORY, help=f"where the files go (default: ./{DEFAULT_DIRECTORY})")


def run(arguments: argparse.Namespace) -> int:
    """Make a certificate; returns the exit code."""
    hosts: list[str] = []
    for text in arguments.hosts:
        host = read_host(text)
        if isinstance(host, Fault):
            complain(host.problem, host.message, host.help)
            return EXIT_USAGE
        hosts.append(host)
    try:
        authority, issued = certify(Path(arguments.dir), list(dict.fromkeys(hosts)))
    except CannotCertify as error:
        complain(error.problem, str(error), *error.help)
        return EXIT_STARTUP
    made = "made an authority" if authority.is_new else "the authority is"
    write_out(f"{made}: {authority.ca_file}, until {authority.ends:%Y-%m-%d}\n")
    made = "made a certificate" if issued.is_new else "made the certificate anew"
    write_out(f"{made} for {', '.join(dict.fromkeys(hosts))}: {issued.cert_file}, until {issued.ends:%Y-%m-%d}\n")
    example = hosts[0].replace("*", "any")
    write_out(
        _ADVICE.format(
            cert=_yaml(issued.cert_file),
            key=_yaml(issued.key_file),
            ca=authority.ca_file,
            ca_key=authority.ca_file.with_name("ca-key.pem"),
            ca_quoted=shlex.quote(str(authority.ca_file)),
            host=f"[{example}]" if ":" in example else example,
        )
    )
    return 0


def read_host(text: str) -> str | Fault:
    """Read a host as a certificate names it: an IP address has no brackets there. Pure; never raises."""
    with suppress(ValueError):
        # A zone means something on one machine only, and may hold anything.
        if "%" not in text:
            return str(ipaddress.ip_address(text.removeprefix("[").removesuffix("]")))
    if text == ANY_HOST:
        return Fault(
            problems.BAD_ADDRESS, (), "a certificate for `*` is valid for no host", "name the hosts, as `localhost` or `*.example.net`"
        )
    return parse_host(text)


def certify(directory: Path, hosts: list[str]) -> "tuple[LocalAuthority, Issued]":
    """Make a certificate, and its authority where there is none yet. Raises CannotCertify."""
    try:
        from corsproxy.cli import local_ca  # noqa: PLC0415 - the library is optional
    except ImportError as error:
        if (error.name or "").partition(".")[0] != "cryptography":
            raise
        raise CannotCertify(
            problems.LIBRARY_MISSING, "certificates are made with the library `cryptography`, which is not installed"
        ) from None
    try:
        authority = local_ca.LocalAuthority(directory)
        return authority, authority.issue(hosts)
    except local_ca.BrokenAuthority as error:
        raise CannotCertify(problems.AUTHORITY_BROKEN, str(error)) from None
    except OSError as error:
        message = f"`{error.filename or directory}` cannot be written or read: {(error.strerror or str(error)).lower()}"
        raise CannotCertify(problems.CANNOT_WRITE, message) from None


def _yaml(file: Path) -> str:
    return str(file) if _PLAIN.fullmatch(str(file)) else json.dumps(str(file), ensure_ascii=False)
