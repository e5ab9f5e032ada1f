"""
What the file says of requests on their way to the upstream and of responses on their way back.

It knows forwarding fields, header rules, cookies and redirects as the file writes them; what they do to a message is for the
rules of floor 0.
"""

from dataclasses import dataclass
from typing import Any, Final

from corsproxy import problems
from corsproxy.config.choices import CookiePath, SameSite
from corsproxy.config.diagnostics import Report
from corsproxy.config.fields import ReadField, fault_of_id_header, fault_of_name
from corsproxy.config.nodes import Entry, Mapping
from corsproxy.config.scalars import refuse_kind
from corsproxy.config.schema import FILE, HEADERS, SECTIONS
from corsproxy.config.settings import ForwardingSettings
from corsproxy.config.values import Listed, Section, read_block, read_entries, read_fields, read_section
from corsproxy.semantics.cookies import CookieRules
from corsproxy.semantics.fields import FieldLine
from corsproxy.semantics.forwarded import ForwardedMode
from corsproxy.semantics.networks import UNIX
from corsproxy.semantics.rules import NO_RULES, HeaderRules, compile_rules

_DOMAINS: Final = {"keep": None, "remove": b""}
_SAME_SITES: Final = {SameSite.NONE: b"None", SameSite.LAX: b"Lax", SameSite.STRICT: b"Strict"}
_RULES_HELP: Final = "write `headers: {request: {set: {X-Stage: test}}}`"


@dataclass(frozen=True, slots=True)
class FileHeaders:
    """
    The file's own header rules, which routes build on.

    `request_elsewhere` is what routes with an upstream of their own get: values that came from a variable or a file stay with the
    upstream that they were written for.
    """

    request: HeaderRules = NO_RULES
    request_elsewhere: HeaderRules = NO_RULES
    response: HeaderRules = NO_RULES
    has_secret: bool = False


def read_forwarding(section: Section, fields: dict[str, Any], report: Report) -> ForwardingSettings:
    """
    Read what the upstream is told of clients and requests. `fields` are the file's single values as far as they could be read.

    Networks that hold every address get a warning.
    """
    entry = section.entries.get("request_id")
    key = SECTIONS[FILE]["request_id"]
    ids, request_id = read_entries(entry, key, "write `request_id: {header: X-Request-Id}`", report) if entry is not None else ({}, {})
    trace = read_block(section.entries.get("trace"), SECTIONS[FILE]["trace"], "write `trace: {begin: true}`", report)
    given: dict[str, Any] = {"begins_trace": trace["begin"]} if "begin" in trace else {}
    if "header" in request_id:
        fault = fault_of_id_header(request_id["header"])
        if fault is None:
            given["request_id_header"] = request_id["header"]
        else:
            report.add_fault(fault, ids["header"].value_span)
    if "trust" in request_id:
        given["trusts_request_id"] = request_id["trust"]
    if "forwarded" in fields:
        given["mode"] = ForwardedMode(fields["forwarded"])
    trusted = fields.get("trusted_proxies")
    if isinstance(trusted, Listed):
        given["trusted"] = trusted.values
        _warn_of_everybody(trusted, report)
    return ForwardingSettings(**given)


def _warn_of_everybody(trusted: Listed, report: Report) -> None:
    for value, span in zip(trusted.values, trusted.spans, strict=True):
        if value != UNIX and value.prefixlen == 0:
            message = f"`{value}` lets every client say who it is"
            report.add(problems.TRUSTS_EVERYBODY, span, message, "name the networks of the proxies in front, as `10.0.0.0/8`")


def read_headers(entry: Entry | None, request_id_header: bytes, report: Report) -> FileHeaders:
    """Read the `headers` of the file."""
    request, response = _read_both(entry, request_id_header, report)
    elsewhere = {name: [each for each in request.get(name, []) if not each.is_interpolated] for name in request}
    return FileHeaders(
        _compile(request, NO_RULES),
        _compile(elsewhere, NO_RULES),
        _compile(response, NO_RULES),
        any(each.is_interpolated for name in request for each in request[name]),
    )


def read_route_headers(
    entry: Entry | None, inherited: FileHeaders, request_id_header: bytes, report: Report, *, has_own_upstream: bool
) -> tuple[HeaderRules, HeaderRules, bool]:
    """Read the `headers` of a route: its rules for requests and for responses, and whether a request carries a secret."""
    request, response = _read_both(entry, request_id_header, report)
    before = inherited.request_elsewhere if has_own_upstream else inherited.request
    has_secret = (inherited.has_secret and not has_own_upstream) or any(each.is_interpolated for name in request for each in request[name])
    return _compile(request, before), _compile(response, inherited.response), has_secret


_Rules = dict[str, list[ReadField]]


def _read_both(entry: Entry | None, request_id_header: bytes, report: Report) -> tuple[_Rules, _Rules]:
    if entry is None:
        return {}, {}
    if not isinstance(entry.value, Mapping):
        refuse_kind(entry.value, entry.value_span, SECTIONS[FILE]["headers"], report, _RULES_HELP)
        return {}, {}
    section = read_section(entry.value, HEADERS, "`headers`", entry.key.span, report)
    return tuple(_read_rules(section, side, request_id_header, report) for side in ("request", "response"))  # type: ignore[return-value]


def _read_rules(section: Section, side: str, request_id_header: bytes, report: Report) -> _Rules:
    entry = section.entries.get(side)
    if entry is None:
        return {}
    if not isinstance(entry.value, Mapping):
        refuse_kind(entry.value, entry.value_span, SECTIONS[HEADERS][side], report, f"write `{side}: {{remove: [X-Debug]}}`")
        return {}
    key = SECTIONS[HEADERS][side]
    rules: _Rules = read_fields(read_section(entry.value, key.children, f"`headers.{side}`", entry.key.span, report), report)
    for read in (each for found in rules.values() for each in found):
        fault = fault_of_name(read.name, side, request_id_header)
        if fault is not None:
            report.add_fault(fault, read.span)
    return rules


def _compile(rules: _Rules, before: HeaderRules) -> HeaderRules:
    def lines(name: str) -> list[FieldLine]:
        return [(each.name, each.value) for each in rules.get(name, [])]

    secret = [each.name for found in rules.values() for each in found if each.is_interpolated]
    return compile_rules((each.name for each in rules.get("remove", [])), lines("set"), lines("add"), secret=secret, after=before)


def read_cookies(entry: Entry | None, inherited: dict[str, Any], report: Report) -> dict[str, Any]:
    """Read the cookie rules of the file or of a route, key by key; what is not set is inherited."""
    return inherited | read_block(entry, SECTIONS[FILE]["cookies"], "write `cookies: {same_site: none}`", report)


def build_cookies(given: dict[str, Any]) -> CookieRules:
    """Make the rules of what was read."""
    domain: str = given.get("domain", "keep")
    return CookieRules(
        same_site=_SAME_SITES.get(given.get("same_site", SameSite.KEEP), b""),
        secure=given.get("secure", False),
        partitioned=given.get("partitioned", False),
        domain=_DOMAINS[domain] if domain in _DOMAINS else domain.encode(),
        path=given.get("path", CookiePath.AUTO) == CookiePath.AUTO,
    )
