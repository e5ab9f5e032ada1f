"""What lines mean, each by itself: what is parsed, what is remembered and when, and how much. That it is right is for tests/properties/test_lines.py."""

from collections.abc import Sequence

import pytest

from corsproxy.gateway.judge import LineJudge
from corsproxy.gateway.plain import PlainHeads
from corsproxy.meanings import MAX_LINE_BYTES, MAX_LINES, MAX_MEANINGS, Meaning, Meanings
from corsproxy.semantics.acts import DOUBT, LENGTH, MAX_NAME_BYTES, PASS, READ


class Watched:
    """A strict judge, with what it was asked."""

    def __init__(self) -> None:
        self._judge: LineJudge = PlainHeads().judge
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


def test_a_line_that_is_kept_is_parsed_no_more(meanings: Meanings, judge: Watched) -> None:
    for _ in range(4):
        read(meanings, judge, b"Accept: a")

    assert judge.asked == [b"Accept: a"] * 2


def test_only_what_is_new_is_parsed(meanings: Meanings, judge: Watched) -> None:
    for _ in range(2):
        read(meanings, judge, b"Accept: a", b"Accept: b")
    judge.asked.clear()
    read(meanings, judge, b"Accept: a", b"Accept: c", b"Accept: b")

    assert judge.asked == [b"Accept: c"]


def test_a_line_of_the_older_generation_is_not_parsed_again(meanings: Meanings, judge: Watched) -> None:
    for _ in range(2):
        read(meanings, judge, b"Accept: a")
    for number in range(MAX_LINES):
        for _ in range(2):
            read(meanings, judge, b"X: %d" % number)
    assert b"Accept: a" not in meanings.lines.young
    judge.asked.clear()

    assert read(meanings, judge, b"Accept: a") is not None
    assert judge.asked == []


def test_a_line_that_was_refused_is_never_kept(meanings: Meanings, judge: Watched) -> None:
    for _ in range(4):
        assert read(meanings, judge, b"Accept: a", b"Na me: 1") is None

    assert len(meanings.lines) == 0


def test_a_long_line_is_judged_each_time(meanings: Meanings, judge: Watched) -> None:
    longest = b"X: " + b"x" * (MAX_LINE_BYTES - 3)
    for _ in range(4):
        assert read(meanings, judge, longest, longest + b"x") is not None

    assert list(meanings.lines.young) == [longest]
    assert judge.asked.count(longest + b"x") == 4


def test_digits_behind_a_length_need_no_parser(meanings: Meanings, judge: Watched) -> None:
    found = read(meanings, judge, b"Content-Length: 12")

    assert found is not None
    assert found[0].act == LENGTH
    assert judge.asked == []


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
        read(meanings, judge, b"Accept: a")
    for number in range(3 * MAX_LINES):
        for _ in range(2):
            read(meanings, judge, b"X: %d" % number)
        if not number % (MAX_LINES // 4):
            read(meanings, judge, b"Accept: a")
    judge.asked.clear()
    read(meanings, judge, b"Accept: a")

    assert judge.asked == []
