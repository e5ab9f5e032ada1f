"""Round trips and fixpoints of the small languages: origins, patterns, Vary, paths."""

import re
from urllib.parse import unquote_to_bytes

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from corsproxy import routes
from corsproxy.config.choices import CorsMode
from corsproxy.config.settings import Route, Timeouts
from corsproxy.config.upstreams import Upstream
from corsproxy.cors.origin import parse_origin, respell
from corsproxy.cors.pattern import OriginPattern, parse_pattern
from corsproxy.cors.regex import Regex, RegexRefused
from corsproxy.cors.respond import merge_vary
from corsproxy.semantics.framing import Refusal

BOUNDED = settings(deadline=None)


# --- origins --------------------------------------------------------------------------------------


LABELS = st.from_regex(r"[a-z0-9_-]{1,8}", fullmatch=True)
HOSTS = st.one_of(
    st.lists(LABELS, min_size=1, max_size=4).map(".".join),
    st.ip_addresses(v=4).map(str),
    st.ip_addresses(v=6).map(lambda address: f"[{address.compressed}]"),
    st.ip_addresses(v=6).map(lambda address: f"[{address.exploded}]"),
)
SCHEMES = st.sampled_from(["https", "http", "HTTPS", "capacitor", "chrome-extension", "ws"])
PORTS = st.one_of(st.just(""), st.integers(0, 70000).map(lambda port: f":{port}"), st.sampled_from([":443", ":80", ":", ":0080"]))
TAILS = st.sampled_from(["", "", "", "/", "/x", "?x", "#x"])
WRITTEN = st.builds("{}://{}{}{}".format, SCHEMES, HOSTS, PORTS, TAILS)
NEARLY = st.one_of(
    WRITTEN, WRITTEN.map(str.upper), HOSTS, st.text(max_size=30), st.from_regex(r"https?://[0-9a-fx.:_+-]{1,16}", fullmatch=True)
)


@BOUNDED
@given(st.one_of(NEARLY.map(lambda text: text.encode("utf-8", "surrogateescape")), st.binary(max_size=40)))
@example(b"file://")
@example(b"http://[::ffff:102:304]")
def test_what_is_read_as_an_origin_is_written_back_byte_for_byte(value: bytes) -> None:
    """Rule 5: one right spelling for each origin."""
    origin = parse_origin(value)

    assert origin is None or origin.serialize() == value


@BOUNDED
@given(NEARLY)
@example("https://bücher.example:８０")  # noqa: RUF001
@example("http://0x7f.1/")
@example("http://1_0.1")
def test_a_proposed_spelling_is_an_origin_and_needs_no_other_proposal(text: str) -> None:
    right, reason = respell(text)

    if right is None:
        assert reason
    else:
        assert parse_origin(right) is not None
        assert respell(right.decode()) == (right, "")


@BOUNDED
@given(NEARLY)
def test_an_entry_is_compiled_or_refused_with_a_reason(text: str) -> None:
    found = parse_pattern(text)

    assert found.matches(text.encode(), parse_origin(text.encode())) if isinstance(found, OriginPattern) else found.message


@BOUNDED
@given(st.lists(LABELS, min_size=1, max_size=3), st.lists(LABELS, min_size=2, max_size=3))
def test_a_wildcard_matches_every_name_below_its_own_and_not_its_own(below: list[str], own: list[str]) -> None:
    host = ".".join(own)
    pattern = parse_pattern(f"https://*.{host}")
    if not isinstance(pattern, OriginPattern):
        return
    inside, outside = f"https://{'.'.join(below)}.{host}".encode(), f"https://{host}".encode()

    assert pattern.matches(inside, parse_origin(inside))
    assert not pattern.matches(outside, parse_origin(outside))


# --- patterns -------------------------------------------------------------------------------------


ATOMS = st.sampled_from(
    ["a", "b", "-", "/", ":", r"\.", r"\d", r"\w", r"\D", r"\W", ".", "[ab]", "[^ab]", "[a-c]", r"[\d-]", "[-a]", r"[^\w]", r"\-"]
)
REPEATED = st.builds("{}{}".format, ATOMS, st.sampled_from(["", "", "", "?", "*", "+", "{2}", "{0,2}", "{1,3}"]))


def grouped(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    sequences = st.lists(inner, max_size=3).map("".join)
    choices = st.lists(sequences, min_size=1, max_size=3).map("|".join)
    return st.builds("{}{}{}".format, st.sampled_from(["(", "(?:"]), choices, st.sampled_from([")", ")?", "){2}", "){0,2}"]))


PATTERNS = st.lists(st.recursive(REPEATED, grouped, max_leaves=6), max_size=4).map("".join)
TEXTS = st.text("ab1-_./: ", max_size=8)


@BOUNDED
@given(PATTERNS, st.lists(TEXTS, min_size=1, max_size=8))
def test_the_linear_matcher_agrees_with_pythons(pattern: str, texts: list[str]) -> None:
    try:
        compiled = Regex(pattern)
    except RegexRefused:
        return
    theirs = re.compile(pattern, re.ASCII)

    for text in texts:
        assert compiled.fullmatch(text.encode()) == (theirs.fullmatch(text) is not None), text
    assert all(
        compiled.may_start_with(text.encode()[:n]) for text in texts if compiled.fullmatch(text.encode()) for n in range(len(text) + 1)
    )


@BOUNDED
@given(st.data())
def test_a_text_that_was_made_from_a_pattern_matches_it(data: st.DataObject) -> None:
    pattern = data.draw(PATTERNS)
    try:
        compiled = Regex(pattern)
    except RegexRefused:
        return
    text = data.draw(
        st.from_regex(re.compile(pattern, re.ASCII), fullmatch=True, alphabet=st.characters(min_codepoint=32, max_codepoint=126))
    )

    assert compiled.fullmatch(text.encode())


@BOUNDED
@given(st.text(r"ab01.*+?{},()[]|^$\-:/ dDwWé" + "\n", max_size=14))
def test_any_text_is_a_pattern_or_is_refused(text: str) -> None:
    position = 0
    try:
        Regex(text)
    except RegexRefused as refused:
        position = refused.position
    else:
        re.compile(text, re.ASCII)

    assert 0 <= position <= len(text)


# --- Vary -----------------------------------------------------------------------------------------


VARY_VALUES = st.lists(
    st.one_of(st.text("aA,* \tb", max_size=8).map(str.encode), st.sampled_from([b"Origin", b"origin", b"*", b"Accept-Encoding"])),
    max_size=4,
)


@BOUNDED
@given(VARY_VALUES, st.sampled_from([b"Origin", b"A", b"b"]))
def test_merging_vary_twice_is_merging_it_once(values: list[bytes], name: bytes) -> None:
    """Rule 34: merged, without duplicates, and nothing of the upstream's is lost."""
    once = merge_vary(values, name)
    lower = [element.lower() for element in once.split(b", ")]

    assert merge_vary([once], name) == once
    assert len(set(lower)) == len(lower)
    came = {element.strip().lower() for value in values for element in value.split(b",")} - {b""}
    assert set(lower) == ({b"*"} if b"*" in came else came | {name.lower()})


# --- routes ---------------------------------------------------------------------------------------


def route(path: bytes) -> Route:
    return Route(path, Upstream("http://up", "up", 80, b"up"), CorsMode.NONE, Timeouts())


ROUTES = (route(b"/a/b"), route(b"/a"), route(b"/b"), route(b"/"))
SEGMENTS = [
    "a",
    "b",
    "c",
    "..",
    ".",
    "",
    "%61",
    "%2e%2e",
    "%2E",
    ".%2e",
    "%252e%252e",
    "a;x",
    "..;x",
    ";x",
    "%2f",
    "%5c",
    "a%2fb",
    "\\",
    "..\\",
    "%3b",
    "%252f",
]
PATHS = st.lists(st.sampled_from(SEGMENTS), min_size=1, max_size=6).map(lambda segments: ("/" + "/".join(segments)).encode())


def decoded(path: bytes) -> bytes:
    return unquote_to_bytes(path)


def with_slashes(path: bytes) -> bytes:
    return path.replace(b"\\", b"/")


def merged(path: bytes) -> bytes:
    return re.sub(rb"/+", b"/", path)


def without_parameters(path: bytes) -> bytes:
    return re.sub(rb";[^/]*", b"", path)


def resolved(path: bytes) -> bytes:
    """Remove dot segments as RFC 3986 5.2.4 tells it, written from its text."""
    source, output = path, b""
    while source:
        if source.startswith(b"/./"):
            source = source[2:]
        elif source == b"/.":
            source = b"/"
        elif source.startswith(b"/../"):
            source, output = source[3:], output.rpartition(b"/")[0]
        elif source == b"/..":
            source, output = b"/", output.rpartition(b"/")[0]
        else:
            end = source.find(b"/", 1)
            end = len(source) if end < 0 else end
            source, output = source[end:], output + source[:end]
    return output


# How real servers read a path: each a chain of steps, from the simplest to two in a row.
SERVERS = {
    "takes it as it is": (),
    "decodes only": (decoded,),
    "RFC 3986": (resolved,),
    "nginx": (decoded, merged, resolved),
    "Apache": (resolved, decoded),
    "Apache, merging slashes": (merged, resolved, decoded, merged, resolved),
    "Tomcat": (without_parameters, decoded, merged, resolved),
    "Jetty": (decoded, without_parameters, resolved),
    "IIS": (decoded, with_slashes, merged, resolved),
    "a file system below a decoder": (decoded, merged, resolved),
    "decodes twice": (decoded, decoded, merged, resolved),
    "two in a row": (resolved, decoded, resolved),
    "two in a row, both decoding": (decoded, resolved, decoded, resolved),
    "two in a row, the second of the Windows kind": (merged, resolved, decoded, with_slashes, merged, resolved),
    "parameters, behind a plain one": (resolved, decoded, without_parameters, merged, resolved),
}


@pytest.mark.parametrize("server", SERVERS)
@BOUNDED
@given(PATHS)
@example(b"/a/c/%2e%2e/../%2e%2e/b")
@example(b"//a/..\\")
def test_no_path_reaches_a_route_that_the_upstream_would_not_take_it_for(server: str, path: bytes) -> None:
    found = routes.match(ROUTES, path)
    if isinstance(found, Refusal):
        return
    read = path
    for step in SERVERS[server]:
        read = step(read)
    again = routes._longest(ROUTES, read)

    assert again is not None
    assert found.path == again.path, read


@BOUNDED
@given(st.binary(max_size=30), st.booleans())
def test_any_path_has_one_answer(tail: bytes, one: bool) -> None:  # noqa: FBT001
    listed = ROUTES[-1:] if one else ROUTES
    found = routes.match(listed, b"/" + tail)

    assert found is routes.match(listed, b"/" + tail) or isinstance(found, Refusal)
    assert not one or found is ROUTES[-1]
