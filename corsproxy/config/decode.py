"""
From nodes to settings, with everything that is wrong on the way.

It knows how the parts of the file go together: what a route inherits, what is implied, what must be there.
"""

import re
from dataclasses import dataclass, replace
from typing import Any, Final

from corsproxy import problems
from corsproxy.config.addresses import ANY_HOST
from corsproxy.config.admin import read_admin
from corsproxy.config.choices import LogFormat, LogLevel, Redirects
from corsproxy.config.diagnostics import Report, Span
from corsproxy.config.forwarding import (
    FileHeaders,
    build_cookies,
    read_cookies,
    read_forwarding,
    read_headers,
    read_route_headers,
)
from corsproxy.config.hosts import judge_any_host, read_hosts
from corsproxy.config.limits import read_limits, read_route_limits
from corsproxy.config.nodes import Entry, Mapping, Node, Scalar, Sequence
from corsproxy.config.plaintext import judge_plaintext
from corsproxy.config.policies import Chosen, read_cors, read_policies
from corsproxy.config.policy_tests import read_tests
from corsproxy.config.rates import Rate, RateLimit, parse_rate
from corsproxy.config.scalars import kind_of, place_of_item, refuse_kind, without_words
from corsproxy.config.schema import ENVIRONMENT, FILE, ROUTE, SECTIONS
from corsproxy.config.settings import (
    DEFAULT_LISTEN,
    ForwardingSettings,
    LogSettings,
    Route,
    RouteLimits,
    ServerTls,
    Settings,
    Shutdown,
    Timeouts,
)
from corsproxy.config.tls import build_server_tls
from corsproxy.config.unknown import nested
from corsproxy.config.upstreams import Upstream
from corsproxy.config.values import Section, place_of_url, read_block, read_entries, read_fields, read_section, read_upstream
from corsproxy.cors.policy import CorsPolicy

_NO_CORS_HELP: Final = "write `cors: {allow_origins: [https://app.example.com]}`, or `cors: none` for no CORS"
_ROOT: Final = b"/"
_NO_LIMIT: Final = frozenset({"off", "no", "none", "false", "0", "unlimited"})


@dataclass(frozen=True, slots=True)
class _Defaults:
    """
    What a route takes over from the file.

    `upstream` and `chosen` are None when the file has none, or a faulty one, which was reported.
    """

    upstream: Upstream | None
    upstream_at: Span | None
    lacks_upstream: bool
    chosen: Chosen | None
    lacks_cors: bool
    timeouts: Timeouts
    limits: RouteLimits
    headers: FileHeaders
    cookies: dict[str, Any]
    redirects: Redirects
    request_id_header: bytes
    named: dict[str, Chosen | None]


@dataclass(frozen=True, slots=True)
class _Draft:
    """A route as far as it could be read. `lacks_cors`: it has no `cors` of its own; `has_secret`: its requests carry one; `rest` are other fields of `Route`."""

    path: bytes
    hosts: tuple[str, ...]
    hosts_at: Span
    at: Span
    upstream: Upstream | None
    upstream_at: Span | None
    chosen: Chosen | None
    lacks_cors: bool
    has_secret: bool
    rest: dict[str, Any]

    def to_route(self) -> Route:
        """Make the route; nothing may be lacking."""
        assert self.upstream is not None  # noqa: S101 - what is faulty was reported
        assert self.chosen is not None  # noqa: S101
        return _route(self.path, self.hosts, self.upstream, self.chosen, self.rest)


def decode(root: Node, report: Report) -> Settings | None:
    """
    Build the settings that a file describes; None if the report holds an error afterwards.

    Never raises, whatever the file holds.
    """
    if not isinstance(root, Mapping):
        _refuse_root(root, report)
        return None
    section = read_section(root, FILE, "the file", None, report)
    fields = read_fields(section, report)
    limits, limits_of_routes = read_limits(section.entries.get("limits"), report)
    forwarding = read_forwarding(section, fields, report)
    defaults = _read_defaults(section, fields, limits_of_routes, forwarding, report)
    drafts = _read_routes(section, defaults, report)
    implicit = _implicit_route(section, defaults, drafts, report)
    log = _read_log(section, report)
    shutdown = read_block(section.entries.get("shutdown"), SECTIONS[FILE]["shutdown"], "write `shutdown: {delay: 5s, grace: 25s}`", report)
    admin = read_admin(section.entries.get("admin"), fields.get("listen", (DEFAULT_LISTEN,)), report)
    rate_limit = _read_rate_limit(section, report)
    tls = _read_tls(section, fields, report)
    hosts = read_hosts(section, fields, {host: draft.hosts_at for draft in drafts for host in draft.hosts}, report)
    _judge_upstreams(defaults, drafts, implicit, report)
    tests = read_tests(section.entries.get("tests"), report)
    if report.has_errors:
        return None
    routes = [draft.to_route() for draft in drafts]
    # The sort is stable: among paths of one length the file's order stays.
    routes = sorted(routes, key=lambda route: -len(route.path)) + implicit
    given: dict[str, Any] = {"listen": fields["listen"]} if "listen" in fields else {}
    if defaults.chosen is not None:
        given["default_cors"], given["default_places"] = defaults.chosen.cors, defaults.chosen.places
    if fields.get("via") is False:
        given["pseudonym"] = b""
    if "workers" in fields:
        given |= without_words({"workers": fields["workers"]})
    return Settings(
        tuple(routes),
        own_origins=fields.get("public_url", ()),
        hosts=hosts,
        forwarding=forwarding,
        limits=limits,
        rate_limit=rate_limit,
        log=log,
        admin=admin,
        express=fields.get("express", True),
        tests=tests,
        tls=tls,
        shutdown=Shutdown(**shutdown),
        **given,
    )


def _refuse_root(root: Node, report: Report) -> None:
    if isinstance(root, Scalar) and root.is_null:
        help_ = "write `upstream: http://localhost:9000` and `cors: {allow_origins: [https://app.example.com]}`"
        report.add(problems.MISSING_KEY, None, "the file is empty", help_)
        return
    message, help_ = f"the file is {kind_of(root)}, not a mapping of keys to values", ""
    if isinstance(root, Scalar) and isinstance(root.value, str):
        message, help_ = _of_another_form(root.text, message)
    report.add(problems.WRONG_TYPE, root.span, message, help_ or "begin with `upstream: http://localhost:9000`")


def _of_another_form(text: str, message: str) -> tuple[str, str]:
    """Say what a file that is one text looks like: it may have been written for another program."""
    key, sign, rest = re.fullmatch("([^:={]*)([:={]?)(.*)", text, re.DOTALL).groups()  # type: ignore[union-attr]
    value = rest.split(" ", 1)[0]
    if sign == "{":
        return "the file looks like one of nginx or Caddy, and this one is YAML", ""
    if sign == "=" and key in ENVIRONMENT:
        return (
            "the file holds environment variables, and this one is YAML",
            f"write `{nested(ENVIRONMENT[key], value)}`, or set the variables",
        )
    if sign == "=":
        return "the file has `key=value`, and YAML has `key: value`", f"write `{nested(key, value)}`" if key in SECTIONS[FILE] else ""
    return message, f"write `{key}: {value}`, with a space behind the colon" if sign and key in SECTIONS[FILE] else ""


def _read_defaults(
    section: Section, fields: dict[str, Any], limits: RouteLimits, forwarding: ForwardingSettings, report: Report
) -> _Defaults:
    entries = section.entries
    keys = SECTIONS[FILE]
    named = read_policies(entries["policies"], report) if "policies" in entries else {}
    chosen = read_cors(entries["cors"], keys["cors"], named, "cors", report) if "cors" in entries else None
    upstream = read_upstream(entries["upstream"], keys["upstream"], report) if "upstream" in entries else None
    timeouts = _read_timeouts(entries.get("timeouts"), Timeouts(), report)
    return _Defaults(
        upstream=upstream,
        upstream_at=place_of_url(entries.get("upstream")),
        lacks_upstream=section.lacks("upstream"),
        chosen=chosen,
        lacks_cors=section.lacks("cors"),
        timeouts=timeouts,
        limits=limits,
        headers=read_headers(entries.get("headers"), forwarding.request_id_header, report),
        cookies=read_cookies(entries.get("cookies"), {}, report),
        redirects=Redirects(fields.get("redirects", Redirects.REWRITE)),
        request_id_header=forwarding.request_id_header,
        named=named,
    )


def _read_timeouts(entry: Entry | None, inherited: Timeouts, report: Report) -> Timeouts:
    return replace(inherited, **read_block(entry, SECTIONS[FILE]["timeouts"], "write `timeouts: {response: 60s}`", report))


def _read_log(section: Section, report: Report) -> LogSettings:
    given = read_block(section.entries.get("log"), SECTIONS[FILE]["log"], "write `log: {format: text, level: info}`", report)
    if "format" in given:
        given["format"] = LogFormat(given["format"])
    if "level" in given:
        given["level"] = LogLevel(given["level"])
    return LogSettings(**given)


def _read_rate_limit(section: Section, report: Report) -> RateLimit | None:
    entry = section.entries.get("rate_limit")
    if entry is None:
        return None
    text = entry.value.text if isinstance(entry.value, Scalar) else ""
    help_ = f"write `rate_limit: {{rate: {text if isinstance(parse_rate(text), Rate) else '100/s'}}}`"
    if text.lower() in _NO_LIMIT:
        help_ = "take `rate_limit` out: without it there is no limit"
    entries, given = read_entries(entry, SECTIONS[FILE]["rate_limit"], help_, report)
    if isinstance(entry.value, Mapping) and "rate" not in entries:
        report.add(problems.MISSING_KEY, entry.key.span, "`rate_limit` lacks `rate`", "write `rate: 100/s`")
    if "rate" not in given:
        return None
    return RateLimit(given["rate"], given.get("burst", given["rate"].count), given.get("by", b""))


def _read_tls(section: Section, fields: dict[str, Any], report: Report) -> ServerTls | None:
    entry = section.entries.get("tls")
    if entry is None:
        return None
    help_ = "write `tls: {cert_file: /certs/tls.crt, key_file: /certs/tls.key}`"
    entries, given = read_entries(entry, SECTIONS[FILE]["tls"], help_, report)
    if not isinstance(entry.value, Mapping):
        return None
    return build_server_tls(entry, entries, given, fields.get("listen", (DEFAULT_LISTEN,)), report)


def _read_routes(section: Section, defaults: _Defaults, report: Report) -> list[_Draft]:
    entry = section.entries.get("routes")
    if entry is None:
        return []
    if not isinstance(entry.value, Sequence):
        keys = list(entry.value.entries) if isinstance(entry.value, Mapping) else []
        path = keys[0] if keys and keys[0].startswith("/") else "/api"
        refuse_kind(entry.value, entry.value_span, SECTIONS[FILE]["routes"], report, f"write a list: `- path: {path}`")
        return []
    drafts: list[_Draft] = []
    seen: dict[tuple[bytes, str], Span] = {}
    for item in entry.value.items:
        if not isinstance(item, Mapping):
            path = item.text if isinstance(item, Scalar) and item.text.startswith("/") else "/api"
            report.add(problems.WRONG_TYPE, place_of_item(item), f"a route is {kind_of(item)}, not a mapping", f"write `- path: {path}`")
            continue
        draft = _read_route(item, defaults, report)
        if draft is None:
            continue
        for host in draft.hosts or ("",):
            first = seen.setdefault((draft.path, host), draft.at)
            if first is not draft.at:
                on = f" on `{host}`" if host else ""
                message = f"`{draft.path.decode()}`{on} is already the path of the route in line {first.line}"
                report.add(problems.BAD_ROUTE, draft.at, message, "make one route of the two")
        drafts.append(draft)
    return drafts


def _read_route(item: Mapping, defaults: _Defaults, report: Report) -> _Draft | None:
    first = next(iter(item.entries.values()), None)
    section = read_section(item, ROUTE, "a route", first.key.span if first is not None else item.span, report)
    entries, keys = section.entries, SECTIONS[ROUTE]
    fields = read_fields(section, report)
    path, hosts = fields.get("path"), fields.get("hosts", ())
    if section.lacks("path"):
        report.add(problems.MISSING_KEY, section.at, "a route lacks `path`", "write `path: /api`")
    rest: dict[str, Any] = {
        "timeouts": _read_timeouts(entries.get("timeouts"), defaults.timeouts, report),
        "limits": read_route_limits(entries.get("limits"), defaults.limits, report),
        "cookies": build_cookies(read_cookies(entries.get("cookies"), defaults.cookies, report)),
        "redirects": Redirects(fields.get("redirects", defaults.redirects)),
        "strip_prefix": fields.get("strip_prefix", False),
    }
    rest["request_headers"], rest["response_headers"], has_secret = read_route_headers(
        entries.get("headers"), defaults.headers, defaults.request_id_header, report, has_own_upstream="upstream" in entries
    )
    at = entries["path"].value_span if path is not None else section.at
    label = f"the route `{path.decode()}`" if path is not None else "a route"
    if "upstream" in entries:
        upstream, upstream_at = read_upstream(entries["upstream"], keys["upstream"], report), place_of_url(entries["upstream"])
    else:
        upstream, upstream_at = defaults.upstream, defaults.upstream_at
        if defaults.lacks_upstream and section.lacks("upstream"):
            help_ = "write `upstream: http://localhost:9000` in the route, or at the top level for all routes"
            report.add(problems.MISSING_KEY, at, f"{label} has no `upstream`, and the file has none for all", help_)
    chosen = read_cors(entries["cors"], keys["cors"], defaults.named, "", report) if "cors" in entries else defaults.chosen
    judge_any_host(entries.get("hosts"), hosts, report)
    if path is None or at is None:
        return None
    hosts_at = entries["hosts"].value_span if "hosts" in entries else at
    return _Draft(
        path, () if ANY_HOST in hosts else hosts, hosts_at, at, upstream, upstream_at, chosen, section.lacks("cors"), has_secret, rest
    )


def _implicit_route(section: Section, defaults: _Defaults, drafts: list[_Draft], report: Report) -> list[Route]:
    """Return the route that the file's own upstream stands for: every path that no other route takes."""
    is_shadowed = any(draft.path == _ROOT and not draft.hosts for draft in drafts)
    if defaults.lacks_upstream:
        routes = section.entries.get("routes")
        if section.lacks("routes") or (routes is not None and isinstance(routes.value, Sequence) and not routes.value.items):
            help_ = "write `upstream: http://localhost:9000`"
            report.add(problems.MISSING_KEY, None, "the file has neither `upstream` nor `routes`", help_)
    elif defaults.lacks_cors and not is_shadowed:
        # Said once: it mends the routes that would inherit it, too.
        report.add(problems.MISSING_KEY, None, "the file has no `cors`", _NO_CORS_HELP)
        return []
    for draft in drafts:
        if draft.lacks_cors and defaults.lacks_cors:
            message = f"the route `{draft.path.decode()}` has no `cors`, and the file has none for all"
            report.add(problems.MISSING_KEY, draft.at, message, _NO_CORS_HELP)
    if is_shadowed or defaults.upstream is None or defaults.chosen is None:
        return []
    rest = {
        "timeouts": defaults.timeouts,
        "limits": defaults.limits,
        "request_headers": defaults.headers.request,
        "response_headers": defaults.headers.response,
        "cookies": build_cookies(defaults.cookies),
        "redirects": defaults.redirects,
    }
    return [_route(_ROOT, (), defaults.upstream, defaults.chosen, rest)]


def _route(path: bytes, hosts: tuple[str, ...], upstream: Upstream, chosen: Chosen, rest: dict[str, Any]) -> Route:
    return Route(path, upstream, chosen.cors, policy_name=chosen.name, place=chosen.place, places=chosen.places, hosts=hosts, **rest)


def _judge_upstreams(defaults: _Defaults, drafts: list[_Draft], implicit: list[Route], report: Report) -> None:
    """Warn of what routes send upstream in clear text."""
    found = [(draft.upstream, draft.upstream_at, draft.chosen.cors, draft.has_secret) for draft in drafts if draft.chosen is not None]
    found += [(route.upstream, defaults.upstream_at, route.cors, defaults.headers.has_secret) for route in implicit]
    for upstream, at, cors, has_secret in found:
        if upstream is not None:
            has_credentials = isinstance(cors, CorsPolicy) and cors.credentials
            judge_plaintext(upstream, at, report, has_credentials=has_credentials, has_secret=has_secret)
