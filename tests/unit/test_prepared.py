"""
Response heads that are edited: what is kept of one, and how others that differ from it in a few places are read.

That what is returned is what line by line would come to is for tests/properties/test_lines.py.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import permutations

import pytest

from corsproxy import edits, prepared
from corsproxy.answers import Context, Exchange
from corsproxy.config.settings import Route
from corsproxy.config.upstreams import Upstream
from corsproxy.cors.decide import Facts, decide
from corsproxy.cors.policy import PolicyDraft, build_policy
from corsproxy.gateway.judge import response_judge
from corsproxy.meanings import Judge
from corsproxy.prepared import _STABLE, MAX_BYTES, MAX_KINDS, MAX_TRIED, Alike, Prepared, may_differ
from corsproxy.response_layouts import MAX_LAYOUTS, ResponseLayout
from corsproxy.semantics.framing import CHUNKED_BODY, CLOSE_DELIMITED, NO_BODY, Body, BodyKind
from corsproxy.semantics.framing import HEAD_END as END
from corsproxy.semantics.rules import compile_rules

POLICY, _ = build_policy(PolicyDraft(("https://app.example",)))
assert POLICY is not None
ROUTE = Route(b"/", Upstream("http://up", "up", 80, b"up"), POLICY)
DECISION = decide(POLICY, Facts(b"GET", (b"https://app.example",)))
JUDGE = response_judge()
LENGTH = b"Content-Length: 5"
CHUNKED = b"Transfer-Encoding: chunked"
# So many alike, and the next one is not edited line by line.
TIMES = 3


def context_of(method: bytes = b"GET", route: Route = ROUTE) -> Context:
    """An exchange on a route that has seen nothing."""
    return Context(method, 1, persistent=True, route=replace(route), cors=POLICY, decision=DECISION, exchange=Exchange(b"id-1"))


class Heads:
    """The answers to requests that were decided alike. `edited` are those that were edited line by line."""

    def __init__(self, context: Context | None = None) -> None:
        alike = edits.alike(context or context_of())
        assert alike is not None
        self.edited: list[bytes] = []
        self._by_lines = alike._edit
        self.alike = Alike(self._edit)

    def _edit(self, raw: bytes, judge: Judge) -> tuple[Prepared, ResponseLayout, Sequence[bytes]] | None:
        self.edited.append(raw)
        return self._by_lines(raw, judge)

    def recall(self, raw: bytes, behind: bytes = b"", most: int = 65_536) -> Prepared | None:
        """What is made of a head, given without its end, and of nothing that lies behind it."""
        recalled = self.alike.recall(raw + END + behind, most, JUDGE)
        if recalled is None:
            return None
        found, size = recalled
        assert size == len(raw + END)
        return found

    def meet(self, *raws: bytes) -> None:
        """Let these be known, and forget that they were edited. Of a layout the first head is looked at twice."""
        self.recall(raws[0])
        for raw in raws:
            self.recall(raw)
        self.edited.clear()

    @property
    def kinds(self) -> int:
        return len(self.alike._kinds)

    @property
    def tried(self) -> int:
        return len(self.alike._tried)


@pytest.fixture
def heads() -> Heads:
    return Heads()


def raw_of(*lines: bytes, start: bytes = b"HTTP/1.1 200 OK") -> bytes:
    """A head without its last two line ends."""
    return b"\r\n".join((start, *lines))


def all_of(found: Prepared | None) -> dict[str, object]:
    """What is written, and whatever else is known."""
    assert found is not None
    return {name: getattr(found, name) for name in Prepared.__slots__}


def by_lines(raw: bytes, context: Context | None = None) -> dict[str, object]:
    """What a head comes to that nobody has seen anything like."""
    fresh = Heads(context)
    fresh.recall(raw)
    return all_of(fresh.recall(raw))


def count(raw: bytes, times: int = TIMES, begin: int = 0) -> list[bytes]:
    """Several heads of one with marks, which are replaced by numbers that grow."""
    return [raw.replace(b"%n", b"%d" % number) for number in range(begin, begin + times)]


# --- what differs is written ---


VARYING: dict[str, tuple[bytes, Sequence[bytes]]] = {
    "id": (b"GET", [LENGTH, b"X-Id: %n"]),
    "date": (b"GET", [LENGTH, b"Date: Sun, 06 Nov 1994 08:49:1%n GMT"]),
    "length": (b"GET", [b"Content-Length: 1%n"]),
    "length-in-other-letters": (b"GET", [b"content-length: 1%n"]),
    "all-of-these": (b"GET", [b"Date: %n", b"Content-Length: 1%n", b"X-Id: a%nb", b"Server: s", b"X-Other: %n"]),
    "length-behind-what-differs": (b"GET", [b"X-A: %n", b"Keep-Alive: %n", b"X-B: %n", b"Content-Length: 1%n", b"X-C: %n"]),
    "what-is-left-out": (b"GET", [LENGTH, b"Keep-Alive: timeout=5, max=%n", b"X-Request-Id: theirs-%n"]),
    "what-is-left-out-and-what-is-not": (b"GET", [b"Keep-Alive: %n", LENGTH, b"X-A: %n"]),
    "first-and-last": (b"GET", [b"X-A: %n", b"Server: s", LENGTH, b"X-B: %n"]),
    "chunks": (b"GET", [CHUNKED, b"X-Id: %n"]),
    "until-close": (b"GET", [b"X-Id: %n"]),
    "that-closes": (b"GET", [b"Connection: close", b"X-Id: %n", LENGTH]),
    "vary": (b"GET", [b"Vary: Accept", LENGTH, b"ETag: %n"]),
    "vary-that-passes": (b"GET", [b"X-A: %n", b"Vary: Origin", LENGTH, b"ETag: %n"]),
    "head": (b"HEAD", [b"Content-Length: 1%n", b"X-Id: %n"]),
    "head-of-chunks": (b"HEAD", [CHUNKED, b"X-Id: %n"]),
    "same-name-twice": (b"GET", [LENGTH, b"X-A: %n", b"X-A: a", b"X-A: b%n"]),
}


@pytest.mark.parametrize(("method", "lines"), VARYING.values(), ids=VARYING)
def test_what_differs_is_written_and_no_line_is_looked_at(method: bytes, lines: Sequence[bytes]) -> None:
    heads, raw = Heads(context_of(method)), raw_of(*lines)
    heads.meet(*count(raw))
    for other in count(raw, 5, 3):
        assert all_of(heads.recall(other)) == by_lines(other, context_of(method))

    assert heads.edited == []
    assert (heads.kinds, heads.tried) == (1, 1)


@pytest.mark.parametrize("start", [b"HTTP/1.1 304 Not Modified", b"HTTP/1.1 404 Not Found", b"HTTP/1.1 200 "])
def test_any_status_may_have_gaps(heads: Heads, start: bytes) -> None:
    raw = raw_of(b"Content-Length: 1%n", b"ETag: %n", start=start)
    heads.meet(*count(raw))
    (other,) = count(raw, 1, 7)

    assert all_of(heads.recall(other)) == by_lines(other)
    assert heads.edited == []


def test_rules_of_a_route_are_written_behind_what_differs() -> None:
    context = context_of(route=replace(ROUTE, response_headers=compile_rules([b"Server", b"X-B"], [(b"X-Set", b"1")])))
    heads, raw = Heads(context), raw_of(b"x_b: %n", b"X-A: %n", b"Server: %n", LENGTH)
    heads.meet(*count(raw))
    found = heads.recall(raw.replace(b"%n", b"9"))

    assert found is not None
    assert found.before == b"HTTP/1.1 200 OK\r\nX-A: 9\r\nContent-Length: 5\r\nX-Set: 1\r\nX-Request-Id: "
    assert heads.edited == []


def test_the_length_is_that_of_each_head(heads: Heads) -> None:
    raw = raw_of(b"X-Id: %n", b"Content-Length: %n")
    heads.meet(*count(raw, TIMES, 1))
    for length in (b"0", b"1", b"77", b"9" * 18):
        found = heads.recall(raw.replace(b"%n", length))
        assert found is not None
        assert (found.body, found.length, found.reusable) == (Body(BodyKind.LENGTH, int(length)), int(length), True)
        assert found.before == b"HTTP/1.1 200 OK\r\nX-Id: %b\r\nContent-Length: %b\r\nX-Request-Id: " % (length, length)
    assert heads.edited == []


@pytest.mark.parametrize("lengths", list(permutations([b"0", b"5", b"17"])))
def test_no_content_is_a_length_like_any_other(heads: Heads, lengths: Sequence[bytes]) -> None:
    raws = [raw_of(b"Content-Length: " + length) for length in lengths]
    heads.meet(*raws)
    for raw in (*raws, *raws):
        assert all_of(heads.recall(raw)) == by_lines(raw)
    assert heads.edited == []


@pytest.mark.parametrize("length", [b"", b"05", b"+5", b"5 ", b" 5", b"5, 5", b"5a", b"0x5", b"9" * 19, b"\xd9\xa5"])
def test_what_is_no_plain_length_is_not_filled_in(heads: Heads, length: bytes) -> None:
    heads.meet(*count(raw_of(b"Content-Length: 1%n")))

    assert heads.recall(raw_of(b"Content-Length: " + length)) is None
    assert heads.edited == [raw_of(b"Content-Length: " + length)]


def test_the_length_of_an_answer_to_head_is_written_and_not_awaited() -> None:
    heads, raw = Heads(context_of(b"HEAD")), raw_of(b"Content-Length: 1%n")
    heads.meet(*count(raw))
    found = heads.recall(raw.replace(b"%n", b"7"))

    assert found is not None
    assert (found.body, found.length) == (NO_BODY, 0)
    assert b"\r\nContent-Length: 17\r\n" in found.before
    assert heads.edited == []


# --- where gaps are ---


def test_a_place_may_be_added_later(heads: Heads) -> None:
    heads.meet(*count(raw_of(b"Date: 1", LENGTH, b"X-Id: %n")))
    (variation,) = heads.alike._tried
    other = raw_of(b"Date: 2", LENGTH, b"X-Id: 9")
    assert all_of(heads.recall(other)) == by_lines(other)
    assert heads.edited == [other]
    both = raw_of(b"Date: 3", LENGTH, b"X-Id: 10")

    assert all_of(heads.recall(both)) == by_lines(both)
    assert heads.edited == [other]
    # The one that knew less is tried no more.
    assert (heads.tried, heads.alike._tried[0] is variation) == (1, False)


def test_a_place_that_was_a_gap_stays_one(heads: Heads) -> None:
    """The heads from which a new place was learned need not differ in the old one."""
    heads.meet(*count(raw_of(b"X-A: %n", b"X-B: 0", LENGTH), 2))
    heads.recall(raw_of(b"X-A: 1", b"X-B: 1", LENGTH))
    heads.edited.clear()
    other = raw_of(b"X-A: new", b"X-B: new", LENGTH)

    assert all_of(heads.recall(other)) == by_lines(other)
    assert heads.edited == []


def test_another_status_line_is_another_kind(heads: Heads) -> None:
    for start in (b"HTTP/1.1 200 OK", b"HTTP/1.1 404 Not Found", b"HTTP/1.1 200 Fine"):
        heads.meet(*count(raw_of(LENGTH, b"X-Id: %n", start=start)))
    assert (heads.kinds, heads.tried) == (3, 3)
    for start in (b"HTTP/1.1 200 OK", b"HTTP/1.1 404 Not Found", b"HTTP/1.1 200 Fine"):
        other = raw_of(LENGTH, b"X-Id: 9", start=start)
        assert all_of(heads.recall(other)) == by_lines(other)
    assert heads.edited == []


def test_a_status_line_is_no_gap(heads: Heads) -> None:
    heads.meet(*count(raw_of(LENGTH, b"X-Id: %n")))
    for start in (b"HTTP/1.1 201 OK", b"HTTP/1.1 200 Ok", b"HTTP/1.1 304 Not Modified"):
        other = raw_of(LENGTH, b"X-Id: 9", start=start)
        assert all_of(heads.recall(other)) == by_lines(other)
        assert heads.edited.pop() == other
    for start in (b"HTTP/1.1 204 No Content", b"HTTP/1.1 101 Switching Protocols", b"HTTP/1.0 200 OK"):
        assert heads.recall(raw_of(LENGTH, b"X-Id: 9", start=start)) is None


@pytest.mark.parametrize("line", [b"Vary: a%n", b"Proxy-Connection: a%n", b"Upgrade: a%n", b"X-A: caf\xe9%n", b"X-A: %n\t%n"])
def test_a_value_that_decides_or_is_not_plain_is_no_gap(heads: Heads, line: bytes) -> None:
    """Each head is looked at line by line, and comes to what it says."""
    for raw in count(raw_of(LENGTH, line), 6):
        for _ in range(3):
            found = heads.recall(raw)
        assert all_of(found) == by_lines(raw)
    heads.edited.clear()
    others = count(raw_of(LENGTH, line), 6, 6)
    for other in others:
        heads.recall(other)

    assert heads.edited == others


def test_whether_the_upstream_closes_is_no_gap(heads: Heads) -> None:
    raws = [raw_of(LENGTH, b"Connection: " + value) for value in (b"keep-alive", b"close", b"Keep-Alive", b"Close")]
    for _ in range(8):
        for raw in raws:
            found = heads.recall(raw)
            assert found is None or found.reusable is (b"live" in raw)
    assert heads.kinds == 4
    for variation in heads.alike._tried:
        assert variation._gaps._gaps == ()


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ([LENGTH, b"X-A: 1"], [LENGTH, b"x-a: 1"]),
        ([LENGTH, b"X-A: 1"], [LENGTH, b"X-B: 2"]),
        ([b"Content-Length: 1"], [b"content-length: 2"]),
        ([LENGTH, b"X-A: 1"], [b"X-A: 1", LENGTH]),
        ([LENGTH, b"X-A: 1"], [LENGTH, b"X-A: 1", b"X-A: 1"]),
    ],
)
def test_another_name_is_no_gap(heads: Heads, one: list[bytes], other: list[bytes]) -> None:
    for _ in range(8):
        for raw in (raw_of(*one), raw_of(*other)):
            found = heads.recall(raw)
    assert all_of(found) == by_lines(raw_of(*other))
    assert all_of(heads.recall(raw_of(*one))) == by_lines(raw_of(*one))
    # A gap is for other values of the same lines, of which there were none.
    for variation in heads.alike._tried:
        assert variation._gaps._gaps == ()


@pytest.mark.parametrize(
    "line",
    [
        b"X-Id: ",
        b"X-Id:9",
        b"X-Id:  9",
        b"X-Id: 9 ",
        b"X-Id: 9\t",
        b"X-Id : 9",
        b"X-Id: 9\0",
        b"X-Id: 9\x7f",
        b"X-Id: 9\r9",
        b"X-Id: 9\n9",
        b"X-Id: 9\nSet-Cookie: a=1",
        b"X-Id: 9\r\nSet-Cookie: a=1",
        b"X-Id: 9\r\n folded",
        b"X-Id: 9\r\nX-Other: 1",
        b" X-Id: 9",
        b"Set-Cookie: a=1",
        b"Location: /x",
        b"Content-Length: 5",
        b"Transfer-Encoding: chunked",
        b"Access-Control-Allow-Origin: *",
        b"X-Id",
    ],
)
def test_what_is_no_such_line_is_looked_at_line_by_line(heads: Heads, line: bytes) -> None:
    heads.meet(*count(raw_of(LENGTH, b"X-Id: %n", b"X-B: 1")))
    raw = raw_of(LENGTH, line, b"X-B: 1")
    heads.recall(raw)

    assert heads.edited == [raw]


@pytest.mark.parametrize("end", [b"\r\nX-C: 1", b"x", b" ", b"\0", b"\t", b"\r", b"\n"])
def test_a_line_that_goes_on_is_not_overlooked(heads: Heads, end: bytes) -> None:
    raw = raw_of(b"X-Id: %n", LENGTH)
    heads.meet(*count(raw))
    other = raw.replace(b"%n", b"9") + end
    heads.alike.recall(other + END, 1000, JUDGE)

    assert heads.edited == [other]


@pytest.mark.parametrize("behind", [b"abcde", b"x", b"\r\n", END, b"\0", raw_of(b"X-Id: 9", LENGTH) + END])
def test_what_lies_behind_a_head_is_not_its_own(heads: Heads, behind: bytes) -> None:
    """Whether it is known line by line, or by its gaps."""
    raw = raw_of(b"X-Id: %n", LENGTH)
    heads.recall(raw.replace(b"%n", b"0"), behind)
    for other in count(raw):
        assert all_of(heads.recall(other, behind)) == by_lines(other)
    heads.edited.clear()
    for other in count(raw, 3, 7):
        assert all_of(heads.recall(other, behind)) == by_lines(other)
    assert heads.edited == []


def test_a_head_that_has_not_all_come_is_not_known(heads: Heads) -> None:
    raw = raw_of(b"X-Id: %n", LENGTH)
    heads.meet(*count(raw))
    whole = raw.replace(b"%n", b"9") + END

    assert [size for size in range(len(whole)) if heads.alike.recall(whole[:size], 1000, JUDGE) is not None] == []
    assert heads.alike.recall(whole, 1000, JUDGE) is not None


def test_a_head_over_the_limit_is_not_known(heads: Heads) -> None:
    """Neither line by line nor by its gaps; the limit counts its end, and nothing that lies behind."""
    raw = raw_of(b"X-Id: %n", LENGTH)
    size = len(raw.replace(b"%n", b"1") + END)
    for _ in range(2):
        for other in count(raw, 5):
            assert heads.recall(other, most=size - 1) is None
            assert heads.recall(other, b"x" * 100, most=size - 1) is None
        heads.meet(*count(raw))
    for other in count(raw, 5):
        assert heads.recall(other, b"x" * 100, most=size) is not None


@pytest.mark.parametrize("data", [b"", END, b"\r\n", b"\r\n" + END, b"x", b"x" + END, b"\0" + END])
def test_what_is_no_head_is_not_known(heads: Heads, data: bytes) -> None:
    for _ in range(2):
        for _ in range(3):
            assert heads.alike.recall(data, 1000, JUDGE) is None
        heads.meet(*count(raw_of(b"X-Id: %n", LENGTH)))


def test_may_differ_asks_for_the_same_name_and_a_free_value() -> None:
    lines = [LENGTH, b"X-A: 1", b"Vary: a", b"Connection: close", b"Keep-Alive: 5", b"Date: x", b"Upgrade: h2c"]
    by_lines = Heads()._by_lines
    edited = [by_lines(raw_of(*lines), JUDGE) for _ in range(2)][-1]
    assert edited is not None
    layout = edited[1]

    assert [may_differ(layout, place, line, line + b"1") for place, line in enumerate(lines)] == [
        True,
        True,
        False,
        False,
        True,
        True,
        False,
    ]
    assert not may_differ(layout, 1, b"X-A: 1", b"x-a: 1")
    assert not may_differ(layout, 0, b"Content-Length: 1", b"content-length: 1")


# --- how much is kept ---


def test_a_head_that_comes_again_and_again_is_edited_no_more(heads: Heads) -> None:
    raw = raw_of(LENGTH, b"X-Id: 1")
    heads.meet(raw, raw)
    found = heads.recall(raw)

    assert heads.recall(raw) is found
    assert heads.edited == []


def test_what_takes_a_parser_is_not_kept(heads: Heads) -> None:
    for number in range(5):
        assert heads.recall(raw_of(LENGTH, b"Set-Cookie: a=%d" % number)) is None
    assert (heads.kinds, heads.tried) == (0, 0)


def test_a_long_head_is_kept_nowhere(heads: Heads) -> None:
    size = MAX_BYTES - len(raw_of(LENGTH, b"X-A: "))
    longest = raw_of(LENGTH, b"X-A: " + b"x" * size)
    for number in range(4):
        longer = longest[:-1] + b"%dx" % number
        assert all_of([heads.recall(longer) for _ in range(2)][-1]) == by_lines(longer)
    assert (heads.kinds, heads.tried) == (0, 0)
    assert len(heads.edited) == 8
    heads.recall(longest)

    assert heads.kinds == 1


def test_a_long_value_in_a_gap_is_written_and_not_kept(heads: Heads) -> None:
    raw = raw_of(LENGTH, b"X-Id: %n")
    heads.meet(*count(raw))
    (variation,), long = heads.alike._tried, raw.replace(b"%n", b"x" * 20_000)

    assert all_of(heads.recall(long)) == by_lines(long)
    assert heads.edited == []
    assert heads.alike._tried == [variation]
    (kind,) = heads.alike._kinds.young.values()
    assert max(map(len, kind.lines)) < 100


def in_each_second(heads: Heads, seconds: range, times: int) -> None:
    """So many answers in each second, each with an id of its own, and what they come to."""
    for second in seconds:
        for number in range(times):
            raw = raw_of(b"Date: %d" % second, LENGTH, b"X-Id: %d" % number)
            found = heads.recall(raw)
            assert found is None or found.before == raw + b"\r\nX-Request-Id: "


def test_what_is_the_same_for_long_is_no_gap(heads: Heads) -> None:
    """A date is, for many answers: it is compared, and once in a second a head is looked at line by line."""
    in_each_second(heads, range(10, 11), 10 + _STABLE)
    heads.edited.clear()
    in_each_second(heads, range(11, 61), 10 + _STABLE)

    assert len(heads.edited) == 50
    (variation,) = heads.alike._tried
    assert len(variation._gaps._gaps) == 1


def test_what_is_the_same_for_a_while_becomes_a_gap(heads: Heads) -> None:
    """A look at a head in each second is too dear where there are few."""
    in_each_second(heads, range(10, 20), _STABLE // 2)
    heads.edited.clear()
    in_each_second(heads, range(20, 60), _STABLE // 2)

    assert heads.edited == []
    (variation,) = heads.alike._tried
    assert len(variation._gaps._gaps) == 2


def test_what_was_the_same_for_long_may_still_be_a_gap_later(heads: Heads) -> None:
    in_each_second(heads, range(10, 11), 10 + _STABLE)
    in_each_second(heads, range(11, 30), 3)
    heads.edited.clear()
    in_each_second(heads, range(30, 60), 3)

    assert heads.edited == []


def test_made_up_kinds_do_not_make_memory_grow(heads: Heads) -> None:
    for number in range(20 * MAX_KINDS):
        heads.meet(*count(raw_of(LENGTH, b"X-Id: %n", start=b"HTTP/1.1 200 OK %d" % number)))
        assert heads.kinds <= 2 * MAX_KINDS
        assert heads.tried <= MAX_TRIED
    assert heads.kinds > MAX_KINDS
    assert heads.tried == MAX_TRIED


def test_made_up_names_do_not_make_memory_grow(heads: Heads) -> None:
    for number in range(20 * MAX_KINDS):
        raw = raw_of(LENGTH, b"X-%d: %%n" % number)
        heads.meet(*count(raw))
        assert all_of(heads.recall(raw.replace(b"%n", b"9"))) == by_lines(raw.replace(b"%n", b"9"))
    assert (heads.kinds, heads.tried) == (1, 1)


def test_made_up_values_do_not_make_memory_grow(heads: Heads) -> None:
    raw = raw_of(LENGTH, b"X-Id: %n", b"X-Other: %n")
    heads.meet(*count(raw))
    (variation,) = heads.alike._tried
    for other in count(raw, 2000, 3):
        heads.recall(other)

    assert heads.edited == []
    assert (heads.kinds, heads.alike._tried) == (1, [variation])


def test_made_up_layouts_do_not_make_memory_grow(heads: Heads) -> None:
    for number in range(3 * MAX_LAYOUTS):
        heads.meet(raw_of(LENGTH, b"Vary: x-%d" % number, b"X-Id: 1"))
        assert heads.kinds <= 2 * MAX_KINDS
        assert heads.tried <= MAX_TRIED


def test_what_cannot_be_known_is_learned_more_and_more_rarely(heads: Heads, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[set[int]] = []
    original = prepared.Variation

    def make(base: Prepared, layout: ResponseLayout, lines: Sequence[bytes], places: set[int]) -> prepared.Variation:
        made.append(places)
        return original(base, layout, lines, places)

    monkeypatch.setattr(prepared, "Variation", make)
    raw = raw_of(LENGTH, b"X-Id: \xe9%n")
    for other in count(raw, 1000):
        heads.recall(other)

    assert len(heads.edited) == 1000
    assert len(made) == 10


def test_a_kind_that_is_asked_for_stays_whatever_else_comes(heads: Heads) -> None:
    raw = raw_of(LENGTH, b"X-Id: %n")
    heads.meet(*count(raw))
    for number in range(10 * MAX_KINDS):
        heads.meet(*count(raw_of(LENGTH, b"X-Id: %n", start=b"HTTP/1.1 200 OK %d" % number)))
        (other,) = count(raw, 1, number)
        assert all_of(heads.recall(other)) == by_lines(other)
        assert heads.edited == []


def test_the_variation_that_fits_is_tried_first_the_next_time(heads: Heads) -> None:
    raws = [raw_of(LENGTH, b"X-Id: %n", start=b"HTTP/1.1 200 OK %d" % number) for number in range(MAX_TRIED)]
    for raw in raws:
        heads.meet(*count(raw))
    before = list(heads.alike._tried)
    heads.recall(raws[0].replace(b"%n", b"9"))

    assert heads.alike._tried == [before[-1], *before[:-1]]
    assert heads.edited == []


def test_a_variation_that_was_crowded_out_is_tried_again(heads: Heads) -> None:
    """It is not learned again for that, however often it happens."""
    raws = [raw_of(LENGTH, b"X-Id: %n", start=b"HTTP/1.1 200 OK %d" % number) for number in range(MAX_TRIED + 1)]
    for raw in raws:
        heads.meet(*count(raw))
    assert heads.tried == MAX_TRIED
    kinds = list(heads.alike._kinds.young.values())
    misses = [kind.misses for kind in kinds]
    for number in range(10, 30):
        for raw in raws:
            (other,) = count(raw, 1, number)
            heads.edited.clear()
            assert all_of(heads.recall(other)) == by_lines(other)
            # The one that fits comes first, instead of the one that fitted longest ago.
            assert heads.edited == [other]
            assert heads.alike._tried[0].fill(other + END) is not None
            heads.recall(raw.replace(b"%n", b"%d" % (number + 100)))
            assert heads.edited == [other]

    assert [kind.misses for kind in kinds] == misses
    assert heads.tried == MAX_TRIED


# --- a head that was edited ---


def prepared_of(body: Body, *, has_date: bool = True, after: bytes = b"") -> Prepared:
    return Prepared(200, (body, True), (b"HTTP/1.1 200 OK\r\nX-Request-Id: ", b"\r\nX-B: 1\r\n", after), has_date=has_date)


@pytest.mark.parametrize(
    ("body", "length"),
    [(Body(BodyKind.LENGTH, 5), 5), (Body(BodyKind.LENGTH, 0), 0), (NO_BODY, 0), (CHUNKED_BODY, -1), (CLOSE_DELIMITED, -1)],
)
def test_the_length_is_known_where_the_head_says_it(body: Body, length: int) -> None:
    assert prepared_of(body).length == length


CHUNKS = b"2\r\nab\r\n3\r\ncde\r\n0\r\n\r\n"


@pytest.mark.parametrize(
    ("body", "data", "pieces"),
    [
        (CHUNKED_BODY, CHUNKS, (b"ab", b"cde")),
        (CHUNKED_BODY, b"0\r\n\r\n", ()),
        (CHUNKED_BODY, b"", None),
        (CHUNKED_BODY, CHUNKS[:-1], None),
        (CHUNKED_BODY, CHUNKS + b"x", None),
        (Body(BodyKind.LENGTH, 5), b"0\r\n\r\n", None),
        (Body(BodyKind.LENGTH, 0), b"0\r\n\r\n", None),
        (NO_BODY, CHUNKS, None),
        (CLOSE_DELIMITED, CHUNKS, None),
    ],
)
def test_chunks_are_taken_apart_where_there_are_any(body: Body, data: bytes, pieces: tuple[bytes, ...] | None) -> None:
    found = prepared_of(body).chunks(data)

    assert (found if found is None else tuple(found)) == pieces


def test_what_is_left_to_write_has_a_date_where_there_is_none() -> None:
    found = prepared_of(CHUNKED_BODY, has_date=False, after=b"Transfer-Encoding: chunked\r\n")

    assert found.end == b"\r\nX-B: 1\r\nTransfer-Encoding: chunked\r\n\r\n"
    assert found.end_at(b"now") == b"\r\nX-B: 1\r\nDate: now\r\nTransfer-Encoding: chunked\r\n\r\n"
    assert prepared_of(NO_BODY, has_date=False).end_at(b"now") == b"\r\nX-B: 1\r\nDate: now\r\n\r\n"


def test_it_is_received_by_each_exchange_under_its_own_id() -> None:
    found = prepared_of(CHUNKED_BODY, has_date=False, after=b"Transfer-Encoding: chunked\r\n")
    one, other = found.received(b"id-1"), found.received(b"id-2")

    assert one.before == b"HTTP/1.1 200 OK\r\nX-Request-Id: id-1\r\nX-B: 1\r\n"
    assert replace(one, before=b"") == replace(other, before=b"")
    assert (one.status, one.body, one.client_body, one.reusable) == (200, CHUNKED_BODY, CHUNKED_BODY, True)
    assert (one.after, one.has_date, one.notices) == (b"Transfer-Encoding: chunked\r\n", False, ())


MADE: list[tuple[str, Callable[[], Prepared]]] = [
    ("length", lambda: prepared_of(Body(BodyKind.LENGTH, 5))),
    ("none", lambda: prepared_of(NO_BODY, has_date=False)),
    ("chunks", lambda: prepared_of(CHUNKED_BODY, after=b"Transfer-Encoding: chunked\r\n")),
    ("until-close", lambda: Prepared(404, (CLOSE_DELIMITED, False), (b"a", b"b", b"c"), has_date=False)),
]


@pytest.mark.parametrize("make", [make for _, make in MADE], ids=[name for name, _ in MADE])
def test_the_same_but_for_what_comes_before_is_the_same_otherwise(make: Callable[[], Prepared]) -> None:
    base = make()
    before = all_of(base)
    found = all_of(base.but(b"other", -1))

    assert found == before | {"before": b"other"}
    assert all_of(base) == before


@pytest.mark.parametrize("length", [0, 1, 10**17])
def test_another_length_is_awaited_and_told(length: int) -> None:
    base = prepared_of(Body(BodyKind.LENGTH, 5))
    found = base.but(b"other", length)

    assert all_of(found) == all_of(base) | {"before": b"other", "length": length, "body": Body(BodyKind.LENGTH, length)}
    assert base.length == 5
