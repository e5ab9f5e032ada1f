"""What lines mean, each by itself: what is parsed, what is remembered and when, and how much. That it is right is for tests/properties/test_lines.py."""

from collections.abc import Sequence

import pytest

from corsproxy.gateway.judge import LineJudge, response_judge
from corsproxy.gateway.plain import PlainHeads
from corsproxy.meanings import MAX_LINE_BYTES, MAX_LINES, MAX_MEANINGS, Meaning, Meanings
from corsproxy.semantics.acts import DOUBT, LENGTH, MAX_NAME_BYTES, PARSED, PASS, READ, SKIP, ResponseNames
from corsproxy.semantics.rules import NO_RULES


class Watched:
    """A strict judge, with what it was asked."""

    def __init__(self, judge: LineJudge | None = None) -> None:
        self._judge = judge or PlainHeads().judge
        self.never = self._judge.never
        self.asked: list[bytes] = []

    def proves(self, lines: Sequence[bytes]) -> bool:
        self.asked += lines
        return self._judge.proves(lines)

    def mark(self, name: bytes) -> int:
        return self._judge.mark(name)


def act_of(name: bytes) -> tuple[int, bytes, bool]:
    """Read Via, leave Expect to others, let all else pass."""
    acts = {b"content-length": (LENGTH, b"", False), b"via": (READ, b"via", True), b"expect": (DOUBT, b"", False)}
    return acts.get(name.lower(), (PASS, b"", False))


@pytest.fixture
def meanings() -> Meanings:
    return Meanings(act_of)


@pytest.fixture
def judge() -> Watched:
    return Watched()


def read(meanings: Meanings, judge: Watched, *lines: bytes) -> tuple[Meaning, ...] | None:
    return meanings.read(lines, [meanings.lines.young.get(line) for line in lines], judge)


# --- what is remembered ---


def test_a_line_is_kept_at_its_second_sight(meanings: Meanings, judge: Watched) -> None:
    read(meanings, judge, b"Accept: a")
    assert len(meanings.lines) == 0
    read(meanings, judge, b"Accept: a")
    assert list(meanings.lines.young) == [b"Accept: a"]


@pytest.mark.parametrize("line", [b"Accept: a\tb", b"Via: a"])
def test_a_line_that_is_kept_is_parsed_no_more(meanings: Meanings, judge: Watched, line: bytes) -> None:
    """One that is judged each time until then: its value is not plain, or is read."""
    for _ in range(4):
        read(meanings, judge, line)

    assert judge.asked == [line] * 2


def test_only_what_is_new_is_parsed(meanings: Meanings, judge: Watched) -> None:
    for _ in range(2):
        read(meanings, judge, b"Accept: a\ta", b"Accept: b\tb")
    judge.asked.clear()
    read(meanings, judge, b"Accept: a\ta", b"Accept: c\tc", b"Accept: b\tb")

    assert judge.asked == [b"Accept: c\tc"]


def test_a_line_of_the_older_generation_is_not_parsed_again(meanings: Meanings, judge: Watched) -> None:
    for _ in range(2):
        read(meanings, judge, b"Accept: a\tb")
    for number in range(MAX_LINES):
        for _ in range(2):
            read(meanings, judge, b"X: %d" % number)
    assert b"Accept: a\tb" not in meanings.lines.young
    judge.asked.clear()

    assert read(meanings, judge, b"Accept: a\tb") is not None
    assert judge.asked == []


def test_a_line_that_was_refused_is_never_kept(meanings: Meanings, judge: Watched) -> None:
    for _ in range(4):
        assert read(meanings, judge, b"Accept: a", b"Na me: 1") is None

    assert len(meanings.lines) == 0


def test_a_long_line_is_judged_each_time(meanings: Meanings, judge: Watched) -> None:
    """As far as it is judged at all: its value is not plain."""
    longest = b"X: " + b"\xe9" * (MAX_LINE_BYTES - 3)
    for _ in range(4):
        assert read(meanings, judge, longest, longest + b"x") is not None

    assert list(meanings.lines.young) == [longest]
    assert judge.asked.count(longest + b"x") == 4


def test_digits_behind_a_length_need_no_parser(meanings: Meanings, judge: Watched) -> None:
    found = read(meanings, judge, b"Content-Length: 12")

    assert found is not None
    assert found[0].act == LENGTH
    assert judge.asked == []


# --- what is waved through ---


def test_a_plain_value_behind_a_name_that_was_proven_needs_no_parser(meanings: Meanings, judge: Watched) -> None:
    read(meanings, judge, b"X-A: 1")
    assert judge.asked == [b"X-A: 1"]
    found = read(meanings, judge, b"X-A: 2", b'X-A: ~ any: "thing", that; is=plain!', b"X-A: " + b"x" * 5000)

    assert judge.asked == [b"X-A: 1"]
    assert found is not None
    assert set(found) == {meanings._names.young[b"X-A"]}


def test_a_name_is_proven_by_a_value_that_is_not_plain_as_well(meanings: Meanings, judge: Watched) -> None:
    read(meanings, judge, b"X-A: \xe9")
    read(meanings, judge, b"X-A: 2")

    assert judge.asked == [b"X-A: \xe9"]


def test_each_spelling_of_a_name_is_proven_by_itself(meanings: Meanings, judge: Watched) -> None:
    for line in (b"X-A: 1", b"x-a: 1", b"X-A: 2", b"x-a: 2"):
        read(meanings, judge, line)

    assert judge.asked == [b"X-A: 1", b"x-a: 1"]


@pytest.mark.parametrize(
    ("value", "is_right"),
    [
        (b"a\tb", True),
        (b"caf\xe9", True),
        (b"\xff", True),
        (b"", True),
        (b"a ", False),
        (b"a\t", False),
        (b" a", False),
        (b"\ta", False),
        (b" ", False),
        (b"a\0b", False),
        (b"a\x01b", False),
        (b"a\x0bb", False),
        (b"a\x1b", False),
        (b"a\x7f", False),
        (b"a\rb", False),
        (b"a\nb", False),
        (b"a\r", False),
        (b"a\nHost: evil.example", False),
    ],
)
def test_a_value_that_is_not_plain_is_judged_behind_any_name(meanings: Meanings, judge: Watched, value: bytes, *, is_right: bool) -> None:
    for number in range(3):
        read(meanings, judge, b"X-A: %d" % number)
    judge.asked.clear()
    found = read(meanings, judge, b"X-A: " + value)

    assert judge.asked == [b"X-A: " + value]
    assert (found is not None) is is_right


@pytest.mark.parametrize("name", [b"Na me", b"N\0me", b"N\xe4me", b" Name", b"Name ", b"Na:me", b"", b"Na\rme", b"Na\nme", b"Na\tme"])
def test_a_broken_name_is_never_proven(meanings: Meanings, judge: Watched, name: bytes) -> None:
    """However often it is seen, whatever stands behind it, and whatever stands beside it."""
    for number in range(4):
        line = b"%b: %d" % (name, number % 2)
        for lines in ([line], [b"X-A: 1", line], [line, b"X-A: 1"], [b"X-A: %d" % number, line, b"X-B: \xe9"]):
            assert read(meanings, judge, *lines) is None
        assert judge.asked.count(line) >= 4
    assert name not in meanings._names.young
    assert len(meanings._names) == 0


def test_a_name_beside_a_line_that_was_refused_is_not_proven(meanings: Meanings, judge: Watched) -> None:
    """A judge says of all lines that it is asked about at once whether they are right."""
    assert read(meanings, judge, b"X-A: 1", b"X-B: \0") is None
    read(meanings, judge, b"X-A: 2")

    assert judge.asked[-1] == b"X-A: 2"


def test_a_name_without_a_value_is_no_line(meanings: Meanings, judge: Watched) -> None:
    read(meanings, judge, b"X-A: 1")
    for line in (b"X-A", b"X-A:", b"X-A:1", b"X-A :1"):
        assert read(meanings, judge, line) is None


def test_a_value_that_is_read_is_judged_behind_any_name(meanings: Meanings, judge: Watched) -> None:
    for line in (b"Via: a", b"Via: b", b"Via: c"):
        read(meanings, judge, line)

    assert judge.asked == [b"Via: a", b"Via: b", b"Via: c"]
    assert len(meanings._names) == 0


@pytest.mark.parametrize("name", [b"Connection", b"Proxy-Connection", b"Upgrade", b"cOnnection", b"UPGRADE", b"Transfer-Encoding"])
@pytest.mark.parametrize("kind", ["request", "response"])
def test_what_a_parser_reads_is_always_judged(kind: str, name: bytes) -> None:
    """Even if nobody here would mind its value: llhttp does."""
    meanings, judge = Meanings(lambda _: (SKIP, b"", False)), Watched(response_judge() if kind == "response" else None)
    lines = [b"%b: a%d" % (name, number) for number in range(4)]
    for line in lines:
        found = read(meanings, judge, line)
        assert found is None or not found[0].is_free

    assert name.lower() in PARSED
    assert len(meanings._names) == 0
    # Some of these a request's lines never are.
    assert judge.asked == ([] if judge.mark(name) & judge.never else lines)


@pytest.mark.parametrize("name", [b"Connection", b"Proxy-Connection", b"Upgrade"])
def test_what_a_parser_reads_of_a_response_is_always_judged_by_the_table_of_responses(name: bytes) -> None:
    names = ResponseNames(frozenset(), NO_RULES, keep_cors=False)
    meanings, judge = Meanings(lambda name: (names.meet(name)[0], b"", False)), Watched(response_judge())
    lines = [b"%b: a%d" % (name, number) for number in range(4)]
    for line in lines:
        assert read(meanings, judge, line) is not None

    assert judge.asked == lines


def test_a_long_name_is_judged_each_time(meanings: Meanings, judge: Watched) -> None:
    longest = b"x" * MAX_NAME_BYTES
    for number in range(3):
        read(meanings, judge, b"%b: %d" % (longest, number), b"%by: %d" % (longest, number))

    assert judge.asked == [longest + b": 0", longest + b"y: 0", longest + b"y: 1", longest + b"y: 2"]


def test_what_is_free_says_that_no_value_matters(meanings: Meanings, judge: Watched) -> None:
    found = read(meanings, judge, b"X-A: 1", b"Via: a", b"Content-Length: 5", b"Connection: close")

    assert found is not None
    assert [meaning.is_free for meaning in found] == [True, False, False, False]


def test_a_name_of_the_older_generation_is_not_parsed_again(meanings: Meanings, judge: Watched) -> None:
    read(meanings, judge, b"X-A: 1")
    for number in range(MAX_MEANINGS):
        read(meanings, judge, b"X-%d: 1" % number)
    assert b"X-A" not in meanings._names.young
    judge.asked.clear()
    read(meanings, judge, b"X-A: 2")

    assert judge.asked == []
    assert b"X-A" in meanings._names.young


# --- what a line means ---


def test_lines_that_only_pass_mean_the_same(meanings: Meanings, judge: Watched) -> None:
    found = read(meanings, judge, b"Accept: a", b"accept: b", b"Cookie: x")

    assert found is not None
    assert len(set(found)) == 1
    assert (found[0].act, found[0].lower, found[0].value) == (PASS, b"", b"")


def test_lines_whose_value_is_read_mean_their_value(meanings: Meanings, judge: Watched) -> None:
    found = read(meanings, judge, b"Via: a", b"via: a", b"Via: b")

    assert found is not None
    assert found[0] is found[1] is not found[2]
    assert [meaning.value for meaning in found] == [b"a", b"a", b"b"]


def test_lines_of_which_there_may_be_one_mean_another_thing(meanings: Meanings, judge: Watched) -> None:
    found = read(meanings, judge, b"Accept: a", b"User-Agent: a", b"ETag: a")

    assert found is not None
    assert len(set(found)) == 3
    assert [meaning.mark for meaning in found] == [0, judge.mark(b"user-agent"), judge.mark(b"etag")]


def test_another_order_is_another_answer_of_the_same_meanings(meanings: Meanings, judge: Watched) -> None:
    one, other = read(meanings, judge, b"Via: a", b"X: 1"), read(meanings, judge, b"X: 1", b"Via: a")

    assert one is not None
    assert other == (one[1], one[0])


DOUBTFUL = {
    "no-space": b"Name:value",
    "two-spaces": b"Name:  value",
    "tab": b"Name:\tvalue",
    "space-before-colon": b"Name : value",
    "trailing-space": b"Name: value ",
    "trailing-tab": b"Name: value\t",
    "bare-cr": b"Name: va\rlue",
    "bare-lf": b"Name: va\nlue",
    "lf-and-a-line": b"Name: va\nOther: lue",
    "cr-at-the-end": b"Name: value\r",
    "nul": b"Name: va\0lue",
    "del": b"Name: va\x7flue",
    "escape": b"Name: va\x1blue",
    "folded": b" folded",
    "folded-line": b" Name: value",
    "folded-by-tab": b"\tName: value",
    "no-name": b": value",
    "no-colon": b"Name",
    "nothing": b"",
    "high-name": b"N\xe4me: value",
    "nul-in-name": b"N\0me: value",
    "space-in-name": b"Na me: value",
    "colon-in-name": b"Na:me: value",
    "doubt": b"Expect: 100-continue",
    "upgrade": b"Upgrade: websocket",
    "proxy-connection": b"pRoXy-Connection: close",
    "signed-length": b"Content-Length: +1",
    "zeros-before-a-length": b"Content-Length: 01",
    "two-lengths": b"Content-Length: 1, 1",
    "no-length": b"Content-Length: ",
    "long-length": b"Content-Length: " + b"9" * 30,
    "length-and-space": b"Content-Length: 1 ",
    "length-in-other-digits": b"Content-Length: \xd9\xa1",
}


@pytest.mark.parametrize("line", DOUBTFUL.values(), ids=DOUBTFUL)
def test_a_doubtful_line_means_nothing_wherever_it_stands(meanings: Meanings, judge: Watched, line: bytes) -> None:
    for _ in range(3):
        for lines in ([line], [b"A: 1", line], [line, b"A: 1"], [b"A: 1", line, b"B: 2"], [line, line]):
            assert read(meanings, judge, *lines) is None
    assert read(meanings, judge, b"A: 1", b"B: 2") is not None
    assert line not in meanings.lines.young


def test_what_stood_beside_a_doubtful_line_is_judged_as_ever(meanings: Meanings, judge: Watched) -> None:
    for _ in range(3):
        read(meanings, judge, b"Via: a", b"Na me: 1")
        found = read(meanings, judge, b"Via: a", b"Connection: close")

        assert found is not None
        assert found[0].value == b"a"


@pytest.mark.parametrize("line", [b"X: ", b"X: caf\xe9", b"X: a\tb", b"X: a: b", b"x!#$%&'*+-.^_`|~9: 1"])
def test_what_is_unusual_and_allowed_is_known_too(meanings: Meanings, judge: Watched, line: bytes) -> None:
    for _ in range(3):
        assert read(meanings, judge, line) is not None
    assert list(meanings.lines.young) == [line]


# --- what bounds it ---


def test_made_up_lines_do_not_make_memory_grow(meanings: Meanings, judge: Watched) -> None:
    for number in range(3 * MAX_LINES):
        for _ in range(2):
            read(meanings, judge, b"X: %d" % number)
        assert len(meanings.lines) <= 2 * MAX_LINES
    assert len(meanings.lines) > MAX_LINES
    assert len(meanings._names) == len(meanings._kinds) == 1


def test_made_up_names_do_not_make_memory_grow(meanings: Meanings, judge: Watched) -> None:
    for number in range(3 * MAX_MEANINGS):
        read(meanings, judge, b"X-%d: 1" % number)
        assert len(meanings._names) <= 2 * MAX_MEANINGS
    assert len(meanings._kinds) == 1
    assert len(meanings.lines) == 0


def test_made_up_values_do_not_make_memory_grow(meanings: Meanings, judge: Watched) -> None:
    for number in range(3 * MAX_MEANINGS):
        read(meanings, judge, b"Via: %d" % number)
        assert len(meanings._kinds) <= 2 * MAX_MEANINGS
    assert len(meanings._names) == 0


def test_made_up_lengths_are_one_meaning(meanings: Meanings, judge: Watched) -> None:
    found = {read(meanings, judge, b"Content-Length: %d" % number) for number in range(100)}

    assert len(found) == 1
    assert len(meanings._kinds) == 1


def test_long_names_and_values_are_in_no_memory(meanings: Meanings, judge: Watched) -> None:
    for _ in range(3):
        assert read(meanings, judge, b"x" * (MAX_NAME_BYTES + 1) + b": 1") is not None
        assert read(meanings, judge, b"Via: " + b"x" * (MAX_LINE_BYTES + 1)) is None

    assert len(meanings._names) == 0
    assert [kind[2] for kind in meanings._kinds.young] == [b""]


def test_made_up_lines_drive_nothing_out_that_is_asked_for(meanings: Meanings, judge: Watched) -> None:
    for _ in range(2):
        read(meanings, judge, b"Accept: a\tb")
    for number in range(3 * MAX_LINES):
        for _ in range(2):
            read(meanings, judge, b"X: %d" % number)
        if not number % (MAX_LINES // 4):
            read(meanings, judge, b"Accept: a\tb")
    judge.asked.clear()
    read(meanings, judge, b"Accept: a\tb")

    assert judge.asked == []
