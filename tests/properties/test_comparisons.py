"""Whatever a new policy lets in that an old one did not, a comparison says that it widens; and of a policy and itself it says nothing."""

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from corsproxy.comparison.compare import compare
from corsproxy.config.choices import CorsMode
from corsproxy.config.settings import Route, Settings
from corsproxy.config.upstreams import Upstream
from corsproxy.cors.policy import ANY, CorsPolicy, PolicyDraft, RegexEntry
from corsproxy.rehearse import Call, Ending, rehearse
from tests.properties.test_model_browser import HEADERS, MEANINGS, METHODS, ORIGINS, SCRIPT_METHODS, drafts, policy_of

UPSTREAM = Upstream("http://up", "up", 80, b"up")
OTHER = Upstream("http://other", "other", 80, b"other")
PATHS = [b"/", b"/a", b"/a/b"]
BOUNDED = settings(deadline=None)
# Enough for what fails at once if it fails: these are the sanity of the first.
FEW = settings(deadline=None, max_examples=100)


@st.composite
def variants(draw: st.DrawFn, draft: PolicyDraft) -> PolicyDraft:
    """Change a little of a policy, as an edit does."""
    for _ in range(draw(st.integers(0, 2))):
        match draw(st.sampled_from(["origins", "fewer", "methods", "headers", "credentials", "enforce", "sockets", "any"])):
            case "origins" if ANY not in draft.allow_origins:
                entry = draw(st.sampled_from(sorted(MEANINGS)))
                more = RegexEntry(entry.removeprefix("regex ")) if entry.startswith("regex ") else entry
                draft = replace(draft, allow_origins=tuple(dict.fromkeys((*draft.allow_origins, more))))
            case "fewer" if len(draft.allow_origins) > 1:
                draft = replace(draft, allow_origins=draft.allow_origins[1:])
            case "methods":
                draft = replace(
                    draft, allow_methods=tuple(draw(st.one_of(st.just([ANY]), st.lists(st.sampled_from(METHODS), unique=True))))
                )
            case "headers":
                names = st.one_of(
                    st.just([ANY]), st.just([ANY, "Authorization"]), st.lists(st.sampled_from(["X-A", "Authorization"]), unique=True)
                )
                draft = replace(draft, allow_headers=tuple(draw(names)))
            case "credentials" if ANY not in draft.allow_origins and "null" not in draft.allow_origins:
                draft = replace(draft, allow_credentials=not draft.allow_credentials)
            case "enforce":
                draft = replace(draft, enforce=not draft.enforce)
            case "sockets":
                listed = draw(st.sampled_from([("cors",), ("none",), ("https://app.example",), ("https://*.app.example",)]))
                draft = replace(draft, websocket_origins=listed)
            case "any" if not draft.allow_credentials:
                draft = replace(draft, allow_origins=(ANY,), dangerously_allow_null_origin=False)
            case _:
                pass
    return draft


@st.composite
def pairs(draw: st.DrawFn) -> tuple[Settings, Settings]:
    """Draw a proxy, and another that is much the same."""
    shared = {path: draw(drafts()) for path in PATHS}

    def proxy() -> Settings:
        routes = []
        for path in sorted(draw(st.lists(st.sampled_from(PATHS), min_size=1, unique=True)), key=len, reverse=True):
            kind = draw(st.integers(0, 5))
            cors: CorsPolicy | CorsMode = policy_of(draw(variants(shared[path]))) if kind > 1 else list(CorsMode)[kind]
            routes.append(Route(path, draw(st.sampled_from([UPSTREAM, OTHER])), cors))
        return Settings(tuple(routes), own_origins=(b"https://api.example",))

    return proxy(), proxy()


@st.composite
def calls(draw: st.DrawFn) -> Call:
    origin, path = draw(st.sampled_from(ORIGINS)), draw(st.sampled_from([b"/", b"/a", b"/a/b/c", b"/ab"]))
    if draw(st.integers(0, 4)) == 0:
        return Call(origin, path=path, websocket=True)
    fields = tuple(draw(st.lists(st.sampled_from(HEADERS), max_size=2, unique_by=lambda header: header[0].lower())))
    return Call(origin, draw(st.sampled_from(SCRIPT_METHODS)), path, credentials=draw(st.booleans()), fields=fields)


@BOUNDED
@given(pairs(), st.lists(calls(), min_size=4, max_size=4))
def test_whatever_is_newly_allowed_is_said(pair: tuple[Settings, Settings], made: list[Call]) -> None:
    old, new = pair
    widens = compare(old, new).widens
    for call in made:
        before, after = rehearse(old, call), rehearse(new, call)
        if after.ending is Ending.WORKS and before.ending is not Ending.WORKS:
            assert widens, call
        # What the browser hides takes effect all the same.
        if after.actual.forwarded and not before.actual.forwarded and call.origin:
            assert widens, call


@FEW
@given(pairs())
def test_a_policy_is_not_different_from_itself(pair: tuple[Settings, Settings]) -> None:
    same = replace(pair[0], routes=tuple(replace(route) for route in pair[0].routes))

    assert compare(pair[0], same).differences == ()
    assert compare(pair[0], same).others == ()


@FEW
@given(drafts(), st.lists(calls(), min_size=4, max_size=4))
def test_a_policy_that_only_loses_does_not_widen(draft: PolicyDraft, made: list[Call]) -> None:
    """Else every change would be said to widen, and nobody would look."""
    old = Settings((Route(b"/", UPSTREAM, policy_of(draft)),), own_origins=(b"https://api.example",))
    narrower = replace(draft, allow_methods=("GET",), allow_headers=(), enforce=True, websocket_origins=("none",))
    new = Settings((Route(b"/", UPSTREAM, policy_of(narrower)),), own_origins=(b"https://api.example",))

    assert not compare(old, new).widens
    for call in made:
        if rehearse(new, call).ending is Ending.WORKS:
            assert rehearse(old, call).ending is Ending.WORKS
