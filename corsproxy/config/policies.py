"""
Policies as the file writes them: in place, by name, or one of two words.

It knows where in the file each fault of a policy stands; it does not judge policies: `cors.policy` does.
"""

from dataclasses import dataclass
from typing import Any, Final

from corsproxy import problems
from corsproxy.config.choices import CorsMode
from corsproxy.config.diagnostics import Report, Span
from corsproxy.config.nodes import Entry, Mapping, Node, Scalar, Sequence
from corsproxy.config.scalars import kind_of, nearest, refuse_kind, without_space
from corsproxy.config.schema import FILE, SECTIONS, Key
from corsproxy.config.settings import Place, PolicyPlaces
from corsproxy.config.suffixes import is_public_suffix
from corsproxy.config.values import Listed, Section, read_fields, read_section
from corsproxy.cors.policy import CorsPolicy, PolicyDraft, build_policy
from corsproxy.problems import Fault

# Stands in for origins that could not be read, so that the rest of the policy is judged all the same.
_PLACEHOLDER: Final = ("https://placeholder.invalid",)
_NEGATIONS: Final = frozenset({"off", "no", "false"})
_INHERITED: Final = frozenset({"default", "inherit", "global", "parent"})
_AFFIRMATIONS: Final = frozenset({"on", "yes", "true"})


@dataclass(frozen=True, slots=True)
class Chosen:
    """What a route does about CORS: a policy or a mode, what the file calls it, and where it is written."""

    cors: CorsPolicy | CorsMode
    name: str
    place: Place
    places: PolicyPlaces


def place_of(span: Span) -> Place:
    """Return where a span begins."""
    return Place(span.source.name, span.line, span.column) if span.source.is_file else Place(span.source.name)


def read_policies(entry: Entry, report: Report) -> dict[str, Chosen | None]:
    """Read the named policies; a name whose policy is faulty stands for None."""
    key = SECTIONS[FILE]["policies"]
    if not isinstance(entry.value, Mapping):
        refuse_kind(entry.value, entry.value_span, key, report)
        return {}
    found: dict[str, Chosen | None] = {}
    for name, each in entry.value.entries.items():
        if name in tuple(CorsMode):
            message = f"`{name}` cannot be a policy's name: `cors: {name}` has a meaning of its own"
            report.add(problems.NOT_A_CHOICE, each.key.span, message, f"choose another name, as `{name}_policy`")
        if not name or not name.isprintable():
            what = f"`{name}` cannot be shown, so it" if name else "an empty text"
            report.add(problems.WRONG_TYPE, each.key.span, f"{what} is no name for a policy", "use letters")
        if isinstance(each.value, Mapping):
            found[name] = _read_policy(each.value, each, f"the policy `{name}`", name, report)
            continue
        message = f"the policy `{name}` is {kind_of(each.value)}, not a mapping"
        report.add(problems.WRONG_TYPE, each.value_span, message, f"write `{name}: {{allow_origins: [https://app.example.com]}}`")
        found[name] = None
    return found


def read_cors(entry: Entry, key: Key, named: dict[str, Chosen | None], name: str, report: Report) -> Chosen | None:
    """
    Read the `cors` of the file or of a route; None, with a diagnostic, if that fails.

    `name` is what the policy is called if it is written here.
    """
    node = entry.value
    if isinstance(node, Mapping):
        return _read_policy(node, entry, "`cors`", name, report)
    if not isinstance(node, Scalar) or node.is_null:
        refuse_kind(node, entry.value_span, key, report, _instead_of_list(node, named))
        return None
    if isinstance(node.value, str):
        if node.text in tuple(CorsMode):
            if node.text == CorsMode.PASSTHROUGH:
                message = "`passthrough` enforces nothing: which origins may call is up to the upstream"
                report.add(problems.PASSTHROUGH, entry.value_span, message, "write a policy if this proxy should decide")
            places = PolicyPlaces(_said_at(entry), values={"cors": entry.value_span})
            return Chosen(CorsMode(node.text), name, place_of(entry.key.span), places)
        if node.text in named:
            return named[node.text]
    fault = _word_fault(node, named)
    report.add_fault(fault, entry.value_span)
    return None


def _instead_of_list(node: Node, named: dict[str, Chosen | None]) -> str:
    texts = [item.shown for item in node.items if isinstance(item, Scalar)] if isinstance(node, Sequence) else []
    if texts and all(text in named for text in texts):
        return f"write `cors: {texts[0]}`: there is one policy for a route"
    origins = ", ".join(text for text in texts if "://" in text) or "https://app.example.com"
    return f"write `cors: {{allow_origins: [{origins}]}}`, or `cors: none`"


def _word_fault(node: Scalar, named: dict[str, Chosen | None]) -> Fault:
    text = node.text
    if text.lower() in (*_NEGATIONS, *_AFFIRMATIONS):
        is_no = text.lower() in _NEGATIONS
        help_ = "write `cors: none` for no CORS" if is_no else "say who may call: `cors: {allow_origins: [https://app.example.com]}`"
        if isinstance(node.value, bool):
            return Fault(problems.WRONG_TYPE, (), f"`{text}` is a boolean, and `cors` takes a policy or a word", help_)
        return Fault(problems.YAML_TRAP, (), f"`{text}` is a boolean to some YAML readers and a word to others", help_)
    if text == "*":
        return Fault(problems.WRONG_TYPE, (), "`*` is not a policy", 'write `cors: {allow_origins: "*"}`')
    if key := without_space(node):
        return Fault(problems.WRONG_TYPE, (), f"`{text}` is not a policy", key)
    if "://" in text:
        return Fault(problems.WRONG_TYPE, (), f"`{text}` is not a policy", f"write `cors: {{allow_origins: [{text}]}}`")
    guess, _ = nearest(text, (*named, *CorsMode))
    if guess:
        return Fault(problems.UNKNOWN_POLICY, (), f"no policy is called `{text}`", f"did you mean `{guess}`?")
    if text.lower() in _INHERITED:
        return Fault(
            problems.UNKNOWN_POLICY, (), f"no policy is called `{text}`", "take `cors` out of a route that should have the file's policy"
        )
    known = f"use one of {', '.join(f'`{name}`' for name in named)}, or " if named else ""
    return Fault(problems.UNKNOWN_POLICY, (), f"no policy is called `{text}`", f"{known}define it under `policies`")


def _read_policy(node: Mapping, entry: Entry, label: str, name: str, report: Report) -> Chosen | None:
    section = read_section(node, "cors", label, entry.key.span, report)
    fields = read_fields(section, report)
    if section.lacks("allow_origins"):
        help_ = "write `allow_origins: [https://app.example.com]`"
        report.add(problems.MISSING_KEY, section.at, f"{label} lacks `allow_origins`", help_)
    policy, faults = build_policy(_draft(fields), is_public_suffix=is_public_suffix)
    for fault in faults:
        report.add_fault(fault, _locate(fault, section, fields))
    # A key that could not be read stood in by its default: what was built from that is not what the file says.
    is_whole = fields.keys() == section.entries.keys() and "allow_origins" in fields
    if policy is None or not is_whole:
        return None
    keys = {key: _said_at(each) for key, each in section.entries.items()}
    values = {key: each.value_span for key, each in section.entries.items()}
    items = {key: value.spans for key, value in fields.items() if isinstance(value, Listed)}
    return Chosen(policy, name, place_of(entry.key.span), PolicyPlaces(entry.key.span, keys, values, items, node.span))


def _said_at(entry: Entry) -> Span:
    """Return the key's place, or that of a value which came from elsewhere: a flag, a variable."""
    return entry.key.span if entry.value_span.source is entry.key.span.source else entry.value_span


def _draft(fields: dict[str, Any]) -> PolicyDraft:
    given: dict[str, Any] = {"allow_origins": _PLACEHOLDER}
    for name, value in fields.items():
        given["max_age_s" if name == "max_age" else name] = value.values if isinstance(value, Listed) else value
    return PolicyDraft(**given)


def _locate(fault: Fault, section: Section, fields: dict[str, Any]) -> Span | None:
    """Return the span of the value that a fault's path leads to, or of its nearest parent."""
    if not fault.path or fault.path[0] not in section.entries:
        return section.at
    name = str(fault.path[0])
    entry, listed = section.entries[name], fields.get(name)
    if len(fault.path) > 1 and isinstance(listed, Listed):
        place = fault.path[1]
        return listed.spans[place] if isinstance(place, int) and place < len(listed.spans) else entry.value_span
    # What a list leaves out stands nowhere in it, and a dangerous key is at fault as a key.
    is_about_key = SECTIONS["cors"][name].is_dangerous or (isinstance(listed, Listed) and bool(listed.values))
    return entry.key.span if is_about_key else entry.value_span
