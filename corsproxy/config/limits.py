"""
What one client may take: the limits of the whole proxy, and those that a route may set.

It knows which limits act before a route is known, and which of them bound each other.
"""

from dataclasses import fields, replace
from typing import Any, Final

from corsproxy import problems
from corsproxy.config.diagnostics import Report
from corsproxy.config.nodes import Entry, Mapping
from corsproxy.config.scalars import refuse_kind, without_words
from corsproxy.config.schema import FILE, LIMITS, ROUTE, SECTIONS, Key
from corsproxy.config.settings import Limits, RouteLimits
from corsproxy.config.units import format_size
from corsproxy.config.values import Section, read_fields, read_section

_OF_ROUTES: Final = frozenset(field.name for field in fields(RouteLimits))


def read_limits(entry: Entry | None, report: Report) -> tuple[Limits, RouteLimits]:
    """Read the limits of the file: those of the whole proxy, and those that routes inherit."""
    section = _read_section(entry, SECTIONS[FILE]["limits"], report)
    if section is None:
        return Limits(), RouteLimits()
    given = without_words(read_fields(section, report))
    _judge_head(section, given, report)
    of_routes = {name: given.pop(name) for name in _OF_ROUTES & given.keys()}
    return Limits(**given), RouteLimits(**of_routes)


def read_route_limits(entry: Entry | None, inherited: RouteLimits, report: Report) -> RouteLimits:
    """Read the limits of a route; what it does not set, it inherits."""
    section = _read_section(entry, SECTIONS[ROUTE]["limits"], report)
    if section is None:
        return inherited
    for name in [name for name in section.entries if SECTIONS[LIMITS][name].is_global]:
        message = f"`{name}` cannot be set in a route: it acts before a route is known"
        report.add(
            problems.UNKNOWN_KEY, section.entries.pop(name).key.span, message, "write it under `limits` at the top level of the file"
        )
    return replace(inherited, **without_words(read_fields(section, report)))


def _read_section(entry: Entry | None, key: Key, report: Report) -> Section | None:
    if entry is None:
        return None
    if not isinstance(entry.value, Mapping):
        refuse_kind(entry.value, entry.value_span, key, report, "write `limits: {request_body: 10MB}`")
        return None
    return read_section(entry.value, LIMITS, "`limits`", entry.key.span, report)


def _judge_head(section: Section, given: dict[str, Any], report: Report) -> None:
    """Refuse a request line that is longer than the whole head may be: it could never be reached."""
    # The line is at fault where it is written: it is the part.
    written = [name for name in ("request_line", "request_head") if name in section.entries]
    limits = Limits(**{name: given[name] for name in written if name in given})
    if limits.request_line <= limits.request_head or any(name not in given for name in written):
        return
    line, head = format_size(limits.request_line), format_size(limits.request_head)
    message = f"`request_line` is {line}, more than the {head} of `request_head`, which it is a part of"
    help_ = f"write `request_head: {line}` or more, or `request_line: {head}` or less"
    first, *others = (section.entries[name].value_span for name in written)
    report.add(problems.OUT_OF_RANGE, first, message, help_, also=others)
