"""
A change that is suggested works: made in the file's text, it loads, and the call passes. It lets in nobody else, and is no danger.

Policies are drawn together with the ways in which people write them: in blocks, in brackets, with comments, by name, by anchors.
"""

from dataclasses import dataclass

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from corsproxy.config.load import load_text
from corsproxy.config.settings import Settings
from corsproxy.explanation.amended import Impossible
from corsproxy.explanation.change import propose
from corsproxy.rehearse import Call, Ending, rehearse

ENTRIES = [
    "https://app.example.com",
    "https://*.example.net",
    "http://localhost:*",
    r"regex https://pr-[0-9]{1,3}\.example\.org",
    '"https://quoted.example"',
]
METHODS = ["GET", "POST", "PUT", "OPTIONS"]
HEADERS = ["X-A", "Content-Type", '"X-B"', "Authorization"]
SCRIPTS = [
    b"https://app.example.com",
    b"https://new.example",
    b"http://[::1]:3000",
    b"https://a.example.net",
    b"https://new.example:8443",
    b"null",
    b"http://plain.example",
]
NOBODY = b"https://nobody.example"


@dataclass(frozen=True)
class Written:
    """A list as it is written: the lines, the first of which follows the key."""

    lines: tuple[str, ...]


def item(entry: str) -> str:
    return f"{{regex: '{entry.removeprefix('regex ')}'}}" if entry.startswith("regex ") else entry


@st.composite
def lists(draw: st.DrawFn, entries: list[str], *, flow: bool) -> Written:
    chosen = draw(st.lists(st.sampled_from(entries), min_size=1, max_size=3, unique=True))
    items = [item(entry) for entry in chosen]
    style = (
        draw(st.sampled_from(["line", "trailing", "tall", "block", "indented"]))
        if not flow
        else draw(st.sampled_from(["line", "trailing"]))
    )
    comment = draw(st.sampled_from(["", "  # why"]))
    match style:
        case "line":
            return Written((f" [{', '.join(items)}]",))
        case "trailing":
            return Written((f" [{' , '.join(items)},]",))
        case "tall":
            return Written((" [", *(f"    {each},{comment}" for each in items), "  ]"))
    indent = "" if style == "block" else "  "
    blocks = [f"regex: '{entry.removeprefix('regex ')}'" if entry.startswith("regex ") else entry for entry in chosen]
    return Written((comment, *(f"  {indent}- {each}{comment}" for each in blocks)))


@st.composite
def policies(draw: st.DrawFn, *, flow: bool) -> list[str]:
    """Draw a policy as lines below its key, indented by two."""
    keys = {"allow_origins": Written((' "*"',)) if draw(st.integers(0, 4)) == 0 else draw(lists(ENTRIES, flow=flow))}
    if draw(st.booleans()):
        keys["allow_methods"] = draw(lists(METHODS, flow=flow))
    if draw(st.booleans()):
        keys["allow_headers"] = Written((' "*"',)) if draw(st.booleans()) else draw(lists(HEADERS, flow=flow))
    for name, values in (
        ("allow_credentials", ["true", "false"]),
        ("enforce", ["false"]),
        ("websocket_origins", ["none", "[https://app.example.com]"]),
    ):
        if draw(st.booleans()):
            keys[name] = Written((f" {draw(st.sampled_from(values))}",))
    order = draw(st.permutations(list(keys)))
    if flow:
        return [f"{{{', '.join(name + ':' + keys[name].lines[0] for name in order)}}}"]
    return [line for name in order for line in (f"  {name}:{keys[name].lines[0]}", *keys[name].lines[1:])]


@st.composite
def files(draw: st.DrawFn) -> str:
    flow = draw(st.booleans())
    policy = draw(policies(flow=flow))
    body = f" {policy[0]}" if flow else "\n" + "\n".join(policy)
    head = "upstream: http://localhost:9000\nhosts: [localhost]  # one\n"
    match draw(st.sampled_from(["default", "named", "anchor", "merged", "route", "none"])):
        case "default":
            text = f"{head}cors:{body}\n"
        case "named":
            nested = body.replace("\n", "\n  ")
            text = f"{head}policies:\n  ours:{nested}\ncors: ours\nroutes: [{{path: /a, cors: ours}}]\n"
        case "anchor":
            text = f"{head}cors: &ours{body}\nroutes: [{{path: /a, cors: *ours}}]\n"
        case "merged":
            text = f"{head}x-ours: &ours{body}\ncors: {{<<: *ours, max_age: 0}}\n"
        case "route":
            nested = body.replace("\n", "\n    ")
            text = f"{head}routes:\n  - path: /\n    cors:{nested}\n"
        case _:
            text = f"{head}cors: none\n"
    return text.replace("\n", "\r\n") if draw(st.booleans()) else text


@st.composite
def calls(draw: st.DrawFn) -> Call:
    origin = draw(st.sampled_from(SCRIPTS))
    if draw(st.integers(0, 4)) == 0:
        return Call(origin, websocket=True)
    names = draw(st.lists(st.sampled_from([b"X-New", b"X-A", b"Authorization", b"Content-Type", b"on"]), max_size=2, unique=True))
    method = draw(st.sampled_from([b"GET", b"PUT", b"LOCK", b"OPTIONS"]))
    return Call(origin, method, credentials=draw(st.sampled_from([None, True, False])), headers=tuple(names))


def loaded(text: str) -> Settings | None:
    return load_text(text, "f.yaml").settings


def is_within(part: str, whole: str) -> bool:
    """Tell whether all characters of a text stand in another one, in their order."""
    rest = iter(whole)
    return all(character in rest for character in part)


@settings(deadline=None)
@given(files(), calls())
def test_a_suggested_change_lets_the_call_pass_and_nobody_else_in(text: str, call: Call) -> None:
    before = loaded(text)
    assume(before is not None)
    assert before is not None
    rehearsal = rehearse(before, call)
    assume(rehearsal.ending is not Ending.WORKS)
    change = propose(before, rehearsal)
    if isinstance(change, Impossible):
        assert change.words
        return

    assert change.edits, (text, change.words)
    changed = change.apply(text)
    found = load_text(changed, "f.yaml")
    assert found.settings is not None, (changed, found.diagnostics)
    assert rehearse(found.settings, call).ending is Ending.WORKS, changed
    # What was there is there, in its order, but for the `false` and `none` that gave way.
    assert is_within(text.replace("false", "").replace("none", ""), changed), changed
    assert changed.count("\r\n") == changed.count("\n") or "\r\n" not in text
    new, old = ("\n".join(line for hunk in change.hunks for line in getattr(hunk, side)) for side in ("new", "old"))
    for danger in ("dangerously_", '"*"', "null", "enforce"):
        assert new.count(danger) <= old.count(danger), new
    assert call.origin != b"null" or "_origins" not in change.words
    stranger = Call(NOBODY, call.method, credentials=call.credentials, headers=call.headers, websocket=call.websocket)
    if rehearse(before, Call(NOBODY)).ending is not Ending.WORKS:
        assert rehearse(found.settings, stranger).ending is not Ending.WORKS, changed


def test_most_refusals_have_a_change() -> None:
    """The property above is not vacuous."""
    text = "upstream: http://localhost:9000\ncors: {allow_origins: [https://app.example.com]}\n"
    settings_ = loaded(text)
    assert settings_ is not None

    found = [
        propose(settings_, rehearse(settings_, call))
        for call in (Call(NOBODY), Call(SCRIPTS[0], b"LOCK"), Call(SCRIPTS[0], headers=(b"X-New",)))
    ]
    assert not any(isinstance(each, Impossible) for each in found)
