"""Responses by their lines: which are known, which never, and how much is kept. That what is written is right is for tests/properties."""

from dataclasses import replace

import pytest

from corsproxy import edits
from corsproxy.answers import Context, Exchange
from corsproxy.config.settings import Route
from corsproxy.config.upstreams import Upstream
from corsproxy.cors.decide import Facts, decide
from corsproxy.cors.policy import PolicyDraft, build_policy
from corsproxy.editor import Editor
from corsproxy.gateway.judge import response_judge
from corsproxy.meanings import MAX_LINES, MAX_MEANINGS, Judge
from corsproxy.prepared import MAX_BYTES, MAX_KINDS, MAX_TRIED, Prepared
from corsproxy.response_layouts import MAX_LAYOUTS, ResponseLayouts
from corsproxy.semantics.acts import ResponseNames
from corsproxy.semantics.framing import HEAD_END as END
from corsproxy.semantics.framing import BodyKind
from corsproxy.semantics.rules import NO_RULES, compile_rules
from tests.unit.test_meanings import Watched

POLICY, _ = build_policy(PolicyDraft(("https://app.example",), expose_headers=("X-B",)))
assert POLICY is not None
ROUTE = Route(b"/", Upstream("http://up", "up", 80, b"up"), POLICY)
DECISION = decide(POLICY, Facts(b"GET", (b"https://app.example",)))
WITHOUT_ORIGIN = decide(POLICY, Facts(b"GET"))
JUDGE = response_judge()
LENGTH = b"Content-Length: 5"
GRANT = b"Access-Control-Allow-Origin: https://app.example\r\nAccess-Control-Expose-Headers: X-B\r\n"


@pytest.fixture
def context() -> Context:
    """An exchange on a route that has seen nothing."""
    return Context(b"GET", 1, persistent=True, route=replace(ROUTE), cors=POLICY, decision=DECISION, exchange=Exchange(b"id-1"))


def raw_of(*lines: bytes, start: bytes = b"HTTP/1.1 200 OK") -> bytes:
    """A head without its last two line ends."""
    return b"\r\n".join((start, *lines))


def recall(context: Context, raw: bytes) -> Prepared | None:
    return recall_by(context, raw, JUDGE)


def recall_by(context: Context, raw: bytes, judge: Judge) -> Prepared | None:
    alike = edits.alike(context)
    assert alike is not None
    recalled = alike.recall(raw + END, 65_536, judge)
    return recalled[0] if recalled is not None else None


def learn(context: Context, raw: bytes) -> Prepared | None:
    """Let whatever can be known be known, and ask for it."""
    for _ in range(3):
        recall(context, raw)
    return recall(context, raw)


def written(found: Prepared | None) -> bytes:
    """What the client gets, less the moment's own lines."""
    assert found is not None
    return found.before + b"id-1" + found.end


def editor_of(context: Context) -> Editor:
    assert context.route is not None
    assert isinstance(context.route.kept.by_edits, Editor)
    return context.route.kept.by_edits


# --- what is known ---


def test_a_layout_is_made_at_its_second_sight(context: Context) -> None:
    raw = raw_of(LENGTH)

    assert recall(context, raw) is None
    assert len(editor_of(context).layouts._layouts) == 0
    assert recall(context, raw) is not None
    assert len(editor_of(context).layouts._layouts) == 1


def test_a_head_that_comes_again_and_again_is_edited_no_more(context: Context) -> None:
    raw = raw_of(LENGTH)
    assert recall(context, raw) is None
    first, second, third = (recall(context, raw) for _ in range(3))

    assert first is not second
    assert second is not None
    assert third is second


def test_another_head_between_makes_no_difference(context: Context) -> None:
    one, other = raw_of(LENGTH, b"X-A: 1"), raw_of(LENGTH, b"X-A: 2", b"X-B: 1")
    learn(context, one)
    learn(context, other)

    assert written(recall(context, one)) == written(learn(context, one)) != written(recall(context, other))


@pytest.mark.parametrize("name", [b"Connection", b"Proxy-Connection", b"Upgrade"])
def test_what_a_parser_reads_is_always_judged(name: bytes) -> None:
    """It does not pass, and llhttp minds what it says."""
    judge, layouts = Watched(response_judge()), ResponseLayouts(ResponseNames(frozenset(), NO_RULES, keep_cors=False), merges_vary=False)
    lines = [b"%b: a%d" % (name, number) for number in range(4)]
    for line in lines:
        layouts.find([b"HTTP/1.1 200 OK", b"X-A: 1", line], judge)

    assert judge.asked == [b"X-A: 1", *lines]


def test_a_plain_value_of_what_passes_needs_no_parser(context: Context) -> None:
    judge = Watched(response_judge())
    for number in range(4):
        recall_by(context, raw_of(LENGTH, b"X-A: %d" % number), judge)
    found = recall_by(context, raw_of(LENGTH, b"X-A: other", b"x-b: 1"), judge)

    assert judge.asked == [b"X-A: 0", b"x-b: 1"]
    assert found is None
    assert b"\r\nX-A: 9\r\n" in written(recall_by(context, raw_of(LENGTH, b"X-A: 9"), judge))


def test_it_is_written_with_what_the_decision_says(context: Context) -> None:
    found = learn(context, raw_of(b"server: s/1", LENGTH, b"Keep-Alive: 5", b"Access-Control-Allow-Origin: *", b"X-Request-Id: theirs"))

    assert written(found) == (
        b"HTTP/1.1 200 OK\r\nserver: s/1\r\nContent-Length: 5\r\nX-Request-Id: id-1\r\nVary: Origin\r\n" + GRANT + b"\r\n"
    )


def test_another_date_needs_nothing_new(context: Context) -> None:
    for second in range(10, 13):
        recall(context, raw_of(LENGTH, b"Date: Sun, 06 Nov 1994 08:49:%d GMT" % second))
    found = recall(context, raw_of(LENGTH, b"Date: Sun, 06 Nov 1994 08:49:59 GMT"))

    assert found is not None
    assert found.has_date
    assert b"\r\nDate: Sun, 06 Nov 1994 08:49:59 GMT\r\n" in written(found)


def test_another_length_needs_nothing_new(context: Context) -> None:
    learn(context, raw_of(LENGTH))
    found = recall(context, raw_of(b"content-length: 1234"))

    assert found is not None
    assert (found.length, found.body.length) == (1234, 1234)
    assert b"\r\ncontent-length: 1234\r\n" in written(found)


def test_without_a_date_none_is_written(context: Context) -> None:
    found = learn(context, raw_of(LENGTH))

    assert found is not None
    assert not found.has_date


@pytest.mark.parametrize(
    "start", [b"HTTP/1.1 200 OK", b"HTTP/1.1 404 Not Found", b"HTTP/1.1 200 ", b"HTTP/1.1 599 what it is", b"HTTP/1.1 206 P"]
)
def test_any_status_that_is_written_as_ours_is_known(context: Context, start: bytes) -> None:
    found = learn(context, raw_of(LENGTH, start=start))

    assert found is not None
    assert found.status == int(start[9:12])
    assert written(found).startswith(start + b"\r\n")


FRAMED = {
    "length": (raw_of(LENGTH), BodyKind.LENGTH, 5),
    "empty": (raw_of(b"Content-Length: 0"), BodyKind.LENGTH, 0),
    "chunks": (raw_of(b"Transfer-Encoding: chunked"), BodyKind.CHUNKED, -1),
    "until-close": (raw_of(b"Server: s"), BodyKind.UNTIL_CLOSE, -1),
    "nothing-at-all": (raw_of(), BodyKind.UNTIL_CLOSE, -1),
    "not-modified": (raw_of(b"ETag: a", start=b"HTTP/1.1 304 Not Modified"), BodyKind.NONE, 0),
    "not-modified-with-a-length": (raw_of(LENGTH, start=b"HTTP/1.1 304 Not Modified"), BodyKind.NONE, 0),
}


@pytest.mark.parametrize(("raw", "kind", "length"), FRAMED.values(), ids=FRAMED)
def test_the_end_of_the_body_is_known(context: Context, raw: bytes, kind: BodyKind, length: int) -> None:
    found = learn(context, raw)

    assert found is not None
    assert (found.body.kind, found.length) == (kind, length)
    assert found.reusable is (kind is not BodyKind.UNTIL_CLOSE)


def test_chunks_are_written_behind_whatever_passes(context: Context) -> None:
    found = learn(context, raw_of(b"transfer-encoding: chunked", b"Server: s"))

    assert written(found).endswith(GRANT + b"Transfer-Encoding: chunked\r\n\r\n")
    assert written(found).lower().count(b"transfer-encoding") == 1


def test_the_answer_to_head_has_no_body(context: Context) -> None:
    learn(context, raw_of(LENGTH))
    found = recall(replace(context, method=b"HEAD"), raw_of(LENGTH))

    assert found is not None
    assert (found.body.kind, found.length) == (BodyKind.NONE, 0)
    assert b"\r\nContent-Length: 5\r\n" in written(found)
    again = recall(context, raw_of(LENGTH))
    assert again is not None
    assert again.length == 5


@pytest.mark.parametrize(
    ("lines", "reusable"),
    [
        ([b"Connection: keep-alive"], True),
        ([b"connection: close"], False),
        ([b"Connection: Close"], False),
        ([b"Connection: keep-alive", b"Connection: close"], False),
        ([b"Connection: close", b"Connection: keep-alive"], False),
    ],
)
def test_whether_the_upstream_closes_is_known(context: Context, lines: list[bytes], *, reusable: bool) -> None:
    found = learn(context, raw_of(LENGTH, *lines))

    assert found is not None
    assert found.reusable is reusable
    assert b"onnection" not in written(found)


@pytest.mark.parametrize(
    ("vary", "merged"),
    [
        (b"Accept", b"Accept, Origin"),
        (b"Origin", b"Origin"),
        (b"accept,  origin", b"accept, origin"),
        (b"*", b"*"),
    ],
)
def test_vary_says_what_it_said_and_origin(context: Context, vary: bytes, merged: bytes) -> None:
    found = learn(context, raw_of(LENGTH, b"vary: " + vary))
    lines = written(found).split(b"\r\n")

    assert [line[6:] for line in lines if line.lower().startswith(b"vary: ")] == [merged]


def test_rules_of_a_route_hold(context: Context) -> None:
    assert context.route is not None
    rules = compile_rules([b"X-B", b"Server"], [(b"X-Set", b"1")])
    found = learn(
        replace(context, route=replace(context.route, response_headers=rules)), raw_of(LENGTH, b"x_b: 1", b"server: s", b"X-C: 2")
    )

    assert written(found).startswith(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-C: 2\r\nX-Set: 1\r\nX-Request-Id: id-1\r\n")


def test_decisions_that_write_another_thing_share_layouts_and_no_head(context: Context) -> None:
    raw = raw_of(LENGTH)
    learn(context, raw)
    other = replace(context, decision=WITHOUT_ORIGIN)
    found = recall(other, raw)

    assert b"Access-Control" not in written(found)
    assert GRANT in written(recall(context, raw))


# --- what never is ---


DOUBTFUL = {
    "cookie": raw_of(LENGTH, b"Set-Cookie: a=1"),
    "cookie-in-other-letters": raw_of(LENGTH, b"sEt-cOOkie: a=1"),
    "location": raw_of(LENGTH, b"Location: /x", start=b"HTTP/1.1 302 Found"),
    "location-of-200": raw_of(LENGTH, b"Location: /x"),
    "content-location": raw_of(LENGTH, b"Content-Location: /x"),
    "refresh": raw_of(LENGTH, b"Refresh: 0; url=/x"),
    "trailer": raw_of(b"Transfer-Encoding: chunked", b"Trailer: X"),
    "two-lengths": raw_of(LENGTH, LENGTH),
    "two-spellings-of-length": raw_of(LENGTH, b"content-length: 5"),
    "length-and-coding": raw_of(LENGTH, b"Transfer-Encoding: chunked"),
    "coding-and-length": raw_of(b"Transfer-Encoding: chunked", LENGTH),
    "two-codings": raw_of(b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked"),
    "another-coding": raw_of(b"Transfer-Encoding: gzip"),
    "coding-in-other-letters": raw_of(b"Transfer-Encoding: Chunked"),
    "signed-length": raw_of(b"Content-Length: +5"),
    "zeros-before-a-length": raw_of(b"Content-Length: 005"),
    "no-length": raw_of(b"Content-Length: "),
    "long-length": raw_of(b"Content-Length: " + b"9" * 30),
    "two-varies": raw_of(LENGTH, b"Vary: a", b"Vary: b"),
    "connection-names-a-field": raw_of(LENGTH, b"Connection: X-A"),
    "connection-in-two": raw_of(LENGTH, b"Connection: keep-alive, close"),
    "switch": raw_of(b"Upgrade: x", b"Connection: upgrade"),
    "no-space": raw_of(LENGTH, b"Name:value"),
    "two-spaces": raw_of(LENGTH, b"Name:  value"),
    "trailing-space": raw_of(LENGTH, b"Name: value "),
    "bare-cr": raw_of(LENGTH, b"Name: va\rlue"),
    "bare-lf": raw_of(LENGTH, b"Name: va\nlue"),
    "length-behind-lf": raw_of(b"Name: x\nContent-Length: 5"),
    "nul": raw_of(LENGTH, b"Name: va\0lue"),
    "folded": raw_of(LENGTH, b" folded"),
    "folded-first": raw_of(b" folded", LENGTH),
    "no-name": raw_of(LENGTH, b": value"),
    "no-colon": raw_of(LENGTH, b"value"),
    "no-content": raw_of(b"X: 1", start=b"HTTP/1.1 204 No Content"),
    "switching": raw_of(b"X: 1", start=b"HTTP/1.1 101 Switching Protocols"),
    "continue": raw_of(start=b"HTTP/1.1 100 Continue"),
    "early-hints": raw_of(b"Link: </x>", start=b"HTTP/1.1 103 Early Hints"),
    "status-of-600": raw_of(LENGTH, start=b"HTTP/1.1 600 X"),
    "short-status": raw_of(LENGTH, start=b"HTTP/1.1 20 OK"),
    "long-status": raw_of(LENGTH, start=b"HTTP/1.1 2000 OK"),
    "old": raw_of(LENGTH, start=b"HTTP/1.0 200 OK"),
    "newer": raw_of(LENGTH, start=b"HTTP/1.2 200 OK"),
    "lower": raw_of(LENGTH, start=b"http/1.1 200 OK"),
    "no-space-behind-status": raw_of(LENGTH, start=b"HTTP/1.1 200"),
    "two-spaces-before-status": raw_of(LENGTH, start=b"HTTP/1.1  200 OK"),
    "high-byte-in-reason": raw_of(LENGTH, start=b"HTTP/1.1 200 O\xe9K"),
    "nul-in-reason": raw_of(LENGTH, start=b"HTTP/1.1 200 O\0K"),
    "tab-in-reason": raw_of(LENGTH, start=b"HTTP/1.1 200 O\tK"),
    "lf-in-reason": raw_of(LENGTH, start=b"HTTP/1.1 200 OK\nX: 1"),
    "cr-in-reason": raw_of(LENGTH, start=b"HTTP/1.1 200 OK\r"),
    "empty-line-first": raw_of(b"HTTP/1.1 200 OK", LENGTH, start=b""),
    "nothing": b"",
}


@pytest.mark.parametrize("raw", DOUBTFUL.values(), ids=DOUBTFUL)
def test_a_doubtful_head_is_never_known(context: Context, raw: bytes) -> None:
    learn(context, raw_of(LENGTH))
    for _ in range(6):
        assert recall(context, raw) is None
    assert recall(context, raw_of(LENGTH)) is not None


@pytest.mark.parametrize(
    "other",
    [
        {"minor": 0},
        {"exchange": Exchange(b"id-1", b"Date")},
        {"exchange": Exchange(b"")},
        {"decision": None},
    ],
)
def test_a_request_that_is_rare_has_nobody_who_knows(context: Context, other: dict[str, object]) -> None:
    assert edits.alike(replace(context, **other)) is None  # type: ignore[arg-type]


# --- what bounds it ---


def kept(context: Context) -> dict[str, int]:
    """What is kept, by what it is."""
    editor = editor_of(context)
    own = editor.layouts
    return {
        "lines": len(own._meanings.lines),
        "names": len(own._meanings._names),
        "kinds": len(own._meanings._kinds),
        "layouts": len(own._layouts),
        "starts": len(own._starts),
        "alikes": len(editor._alikes),
        "heads": max(len(alike._kinds) for alike in editor._alikes.values()),
        "tried": max(len(alike._tried) for alike in editor._alikes.values()),
    }


def test_made_up_values_do_not_make_memory_grow(context: Context) -> None:
    for number in range(3 * MAX_LINES):
        for _ in range(2):
            recall(context, raw_of(LENGTH, b"X-Made-Up: %d" % number))
        assert kept(context)["lines"] <= 2 * MAX_LINES
    # All of them differ in one value, and so none but the first few were looked at line by line.
    assert kept(context)["lines"] < 10
    assert (kept(context)["layouts"], kept(context)["heads"], kept(context)["tried"]) == (1, 1, 1)


def test_made_up_values_that_are_not_plain_do_not_make_memory_grow(context: Context) -> None:
    for number in range(3 * MAX_LINES):
        for _ in range(2):
            recall(context, raw_of(LENGTH, b"X-Made-Up: \xe9%d" % number))
            recall(context, raw_of(LENGTH, b"X-Other: 1"))
        assert kept(context)["lines"] <= 2 * MAX_LINES
    assert kept(context)["lines"] > MAX_LINES
    assert (kept(context)["layouts"], kept(context)["heads"], kept(context)["tried"]) == (1, 1, 1)


def test_values_that_come_once_are_kept_nowhere(context: Context) -> None:
    """But for the last one, instead of the one before."""
    learn(context, raw_of(LENGTH, b"X: a"))
    for number in range(4):
        recall(context, raw_of(LENGTH, b"X: b%d" % number))
    before = kept(context)
    for number in range(2000):
        assert recall(context, raw_of(LENGTH, b"X: %d" % number)) is not None

    assert kept(context) == before
    assert (before["lines"], before["tried"]) == (2, 1)


def test_made_up_names_do_not_make_memory_grow(context: Context) -> None:
    learn(context, raw_of(LENGTH, b"X: a"))
    for number in range(3 * MAX_MEANINGS):
        assert recall(context, raw_of(LENGTH, b"X-%d: 1" % number)) is not None
        assert kept(context)["names"] <= 2 * MAX_MEANINGS
    assert (kept(context)["layouts"], kept(context)["heads"]) == (1, 1)
    assert kept(context)["tried"] <= 1


def test_made_up_varies_and_orders_do_not_make_memory_grow(context: Context) -> None:
    for number in range(3 * MAX_MEANINGS):
        for _ in range(3):
            recall(context, raw_of(LENGTH, b"Vary: x-%d" % number))
        assert kept(context)["kinds"] <= 2 * MAX_MEANINGS
        assert kept(context)["layouts"] <= 2 * MAX_LAYOUTS
        assert kept(context)["heads"] <= 2 * MAX_KINDS
        assert kept(context)["tried"] <= MAX_TRIED
    assert kept(context)["layouts"] > MAX_LAYOUTS


def test_made_up_reasons_do_not_make_memory_grow(context: Context) -> None:
    learn(context, raw_of(LENGTH))
    for number in range(1000):
        found = recall(context, raw_of(LENGTH, start=b"HTTP/1.1 200 OK %d" % number))
        assert found is not None
        assert written(found).startswith(b"HTTP/1.1 200 OK %d\r\n" % number)
    assert recall(context, raw_of(LENGTH, start=b"HTTP/1.1 200 " + b"x" * 5000)) is not None

    assert kept(context)["starts"] == 64
    assert MAX_KINDS < kept(context)["heads"] <= 2 * MAX_KINDS
    assert max(map(len, editor_of(context).layouts._starts)) < 100


def test_a_long_head_is_edited_each_time(context: Context) -> None:
    raw = raw_of(LENGTH, b"X: " + b"x" * MAX_BYTES)
    for _ in range(4):
        found = learn(context, raw)
        assert found is not None
        assert recall(context, raw) is not found
    assert (kept(context)["heads"], kept(context)["tried"]) == (0, 0)
    assert max(map(len, editor_of(context).layouts._meanings.lines.young)) < 100


def test_a_long_value_is_in_no_layout(context: Context) -> None:
    for number in range(100):
        for _ in range(3):
            recall(context, raw_of(b"Vary: %b%d" % (b"x" * 20_000, number)))
    held = [meaning.value for meanings in editor_of(context).layouts._layouts.young for meaning in meanings]

    assert max(map(len, held), default=0) < 1000


def test_made_up_origins_do_not_make_the_alikes_grow() -> None:
    policy, _ = build_policy(PolicyDraft(("https://*.app.example",)))
    assert policy is not None
    route = replace(ROUTE, cors=policy)
    for number in range(300):
        decision = decide(policy, Facts(b"GET", (b"https://a%d.app.example" % number,)))
        context = Context(b"GET", 1, persistent=True, route=route, cors=policy, decision=decision, exchange=Exchange(b"id-1"))
        assert b"https://a%d.app.example\r\n" % number in written(learn(context, raw_of(LENGTH)))
        assert kept(context)["alikes"] <= 64
        assert kept(context)["heads"] <= 2 * MAX_KINDS
