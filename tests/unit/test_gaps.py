"""Bytes with gaps: what stands in one, what lies between, and how heads are cut. That what is read so is right is for tests/properties/test_lines.py."""

from collections.abc import Sequence

import pytest

from corsproxy.gaps import LENGTH, TARGET, VALUE, Gaps, Takes, Template, cut, differing, value_of
from corsproxy.semantics.framing import MAX_LENGTH_DIGITS, is_plain_length
from corsproxy.semantics.target import is_plain_target
from corsproxy.semantics.tokens import is_plain_value

ONE = [b"X-A: ", b"\r\nX-B: 1\r\n\r\n"]
TWO = [b"GET ", b" HTTP/1.1\r\nX-A: ", b"\r\nX-B: 1\r\n\r\n"]


def one() -> Gaps:
    return Gaps(ONE, [(VALUE, True)])


def two() -> Gaps:
    return Gaps(TWO, [(TARGET, True), (VALUE, True)])


def taken(takes: Takes, data: bytes, at: int = 0) -> bytes | None:
    found = takes(data, at)
    return found[0] if found is not None else None


# --- what a gap takes ---


@pytest.mark.parametrize(
    ("takes", "data", "expected"),
    [
        (TARGET, b"/", b"/"),
        (TARGET, b"/a?b=c HTTP/1.1", b"/a?b=c"),
        (TARGET, b'/a"!$~%2e//.. HTTP/1.1', b'/a"!$~%2e//..'),
        (TARGET, b"/a#b", b"/a"),
        (TARGET, b"/\xe9", b"/"),
        (TARGET, b"/\r\n", b"/"),
        (TARGET, b"/\x7f", b"/"),
        (TARGET, b"", None),
        (TARGET, b" /a", None),
        (TARGET, b"a", None),
        (TARGET, b"*", None),
        (TARGET, b"http://a/", None),
        (VALUE, b"a", b"a"),
        (VALUE, b"a  b: c\r\n", b"a  b: c"),
        (VALUE, b"a  \r\n", b"a"),
        (VALUE, b"a\tb", b"a"),
        (VALUE, b"a\0", b"a"),
        (VALUE, b"a\rb", b"a"),
        (VALUE, b"a\nb", b"a"),
        (VALUE, b"a\x7f", b"a"),
        (VALUE, b"caf\xe9", b"caf"),
        (VALUE, b"", None),
        (VALUE, b" a", None),
        (VALUE, b"\ta", None),
        (VALUE, b"\r\n", None),
        (VALUE, b"\0", None),
        (LENGTH, b"0\r\n", b"0"),
        (LENGTH, b"17\r\n", b"17"),
        (LENGTH, b"05", b"0"),
        (LENGTH, b"5 ", b"5"),
        (LENGTH, b"5, 5", b"5"),
        (LENGTH, b"9" * 40, b"9" * MAX_LENGTH_DIGITS),
        (LENGTH, b"", None),
        (LENGTH, b"+5", None),
        (LENGTH, b"-5", None),
        (LENGTH, b" 5", None),
        (LENGTH, b"a", None),
        (LENGTH, b"\xd9\xa5", None),
    ],
)
def test_a_gap_takes_what_no_parser_reads_in_another_way(takes: Takes, data: bytes, expected: bytes | None) -> None:
    assert taken(takes, data) == expected
    assert taken(takes, b"\r\n" + data, 2) == expected


@pytest.mark.parametrize("takes", [TARGET, VALUE, LENGTH])
@pytest.mark.parametrize("byte", [b"\r", b"\n", b"\0", b"\t", b"\x0b", b"\x7f", b"\x80", b"\xff"])
def test_no_gap_takes_what_may_end_a_line(takes: Takes, byte: bytes) -> None:
    for data in (byte, byte + b"/1", b"/1" + byte, b"1" + byte + b"1"):
        assert byte not in (taken(takes, data) or b"")


@pytest.mark.parametrize("data", [b"", b"/a", b"a", b"a b", b" a", b"0", b"00", b"12", b"1" * 18, b"1" * 19, b"/a b", b"a\r\n", b"\xe9"])
def test_a_gap_takes_what_is_plain_and_nothing_else(data: bytes) -> None:
    assert (taken(TARGET, data) == data) is (is_plain_target(data) is not None)
    assert (taken(VALUE, data) == data) is (is_plain_value(data) is not None)
    assert (taken(LENGTH, data) == data) is is_plain_length(data)


# --- reading ---


def test_what_stands_in_the_gaps_is_read() -> None:
    assert one().read(b"X-A: some: thing\r\nX-B: 1\r\n\r\n") == [b"some: thing"]
    assert two().read(b"GET /a HTTP/1.1\r\nX-A: 2\r\nX-B: 1\r\n\r\n") == [b"/a", b"2"]


@pytest.mark.parametrize("size", [0, 1, 5])
def test_the_size_is_that_of_what_was_read_whatever_lies_behind(size: int) -> None:
    data, gaps = b"GET /a HTTP/1.1\r\nX-A: 2\r\nX-B: 1\r\n\r\n", two()
    assert gaps.size == 0
    assert gaps.read(data + b"\r" * size) == [b"/a", b"2"]
    assert gaps.size == len(data)
    assert gaps.read(data.replace(b"/a", b"/longer") * 2) == [b"/longer", b"2"]
    assert gaps.size == len(data) + 5


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"X-A: ",
        b"X-A: 1",
        b"X-A: 1\r\nX-B: 1\r\n\r",
        b"X-A: \r\nX-B: 1\r\n\r\n",
        b"X-A:  1\r\nX-B: 1\r\n\r\n",
        b"X-A: 1 \r\nX-B: 1\r\n\r\n",
        b"X-A: 1\t\r\nX-B: 1\r\n\r\n",
        b"X-A: 1\0\r\nX-B: 1\r\n\r\n",
        b"X-A: 1\r\r\nX-B: 1\r\n\r\n",
        b"X-A: 1\nX-B: 1\r\n\r\n",
        b"X-A: 1\n\r\nX-B: 1\r\n\r\n",
        b"X-A: 1\r\n\r\nX-B: 1\r\n\r\n",
        b"X-A: 1\r\nX-C: 1\r\nX-B: 1\r\n\r\n",
        b"X-A: 1\r\n folded\r\nX-B: 1\r\n\r\n",
        b"X-A:1\r\nX-B: 1\r\n\r\n",
        b"X-A : 1\r\nX-B: 1\r\n\r\n",
        b"x-a: 1\r\nX-B: 1\r\n\r\n",
        b"X-AB: 1\r\nX-B: 1\r\n\r\n",
        b" X-A: 1\r\nX-B: 1\r\n\r\n",
        b"X-A: 1\r\nX-B: 2\r\n\r\n",
        b"X-A: 1\r\nX-B: 12\r\n\r\n",
        b"X-A: 1\r\nX-B: 1\r\nX-C: 1\r\n\r\n",
    ],
)
def test_other_bytes_are_not_read(data: bytes) -> None:
    assert one().read(data) is None


@pytest.mark.parametrize(
    "data",
    [
        b"GET /a\r\nX-A: 2\r\nX-B: 1\r\n\r\n",
        b"GET /a  HTTP/1.1\r\nX-A: 2\r\nX-B: 1\r\n\r\n",
        b"GET  HTTP/1.1\r\nX-A: 2\r\nX-B: 1\r\n\r\n",
        b"GET /a HTTP/1.0\r\nX-A: 2\r\nX-B: 1\r\n\r\n",
        b"PUT /a HTTP/1.1\r\nX-A: 2\r\nX-B: 1\r\n\r\n",
        b"GET /a HTTP/1.1\r\nX-A: \r\nX-B: 1\r\n\r\n",
        b"GET /a HTTP/1.1\r\nX-A: 2 \r\nX-B: 1\r\n\r\n",
        b"GET /a b HTTP/1.1\r\nX-A: 2\r\nX-B: 1\r\n\r\n",
    ],
)
def test_each_gap_and_all_between_has_to_fit(data: bytes) -> None:
    assert two().read(data) is None


def test_a_gap_may_be_at_either_end() -> None:
    gaps = Gaps([b"", b": ", b""], [(VALUE, True), (VALUE, True)])
    # It takes all that it can.
    assert gaps.read(b"a: b: c") is None
    gaps = Gaps([b"", b"\r\n", b""], [(VALUE, True), (LENGTH, True)])
    assert gaps.read(b"a\r\n12\r\n") == [b"a", b"12"]
    assert gaps.size == 5


def test_gaps_may_be_adjacent_but_for_what_neither_takes() -> None:
    gaps = Gaps([b"", b"\r\n", b"\r\n", b"\r\n"], [(LENGTH, True), (VALUE, True), (TARGET, True)])

    assert gaps.read(b"1\r\nb c\r\n/d\r\n") == [b"1", b"b c", b"/d"]
    assert gaps.read(b"1\r\n\r\n/d\r\n") is None


def test_a_gap_does_not_give_back_what_the_next_part_needs() -> None:
    assert Gaps([b"", b"c"], [(VALUE, True)]).read(b"abc") is None


def test_only_what_is_wanted_is_returned_and_the_rest_is_held_to_the_same() -> None:
    gaps = Gaps([b"A: ", b"\r\nB: ", b"\r\nC: ", b"\r\n"], [(VALUE, False), (VALUE, True), (LENGTH, False)])

    assert gaps.read(b"A: 1\r\nB: 2\r\nC: 3\r\n") == [b"2"]
    assert gaps.size == len(b"A: 1\r\nB: 2\r\nC: 3\r\n")
    assert gaps.read(b"A: \r\nB: 2\r\nC: 3\r\n") is None
    assert gaps.read(b"A: 1\r\nB: 2\r\nC: x\r\n") is None


def test_without_gaps_it_is_the_same_bytes() -> None:
    gaps = Gaps([b"a"], [])

    assert gaps.read(b"ab") == []
    assert gaps.size == 1
    assert gaps.read(b"b") is None


@pytest.mark.parametrize(("parts", "count"), [([b"a"], 1), ([b"a", b"b"], 0), ([b"a", b"b", b"c"], 1)])
def test_between_two_parts_there_is_one_gap(parts: Sequence[bytes], count: int) -> None:
    with pytest.raises(ValueError, match="zip"):
        Gaps(parts, [(VALUE, True)] * count)


def test_a_long_run_of_blanks_costs_no_more_than_its_length() -> None:
    """A gap that tried each end of each run would take hours."""
    assert one().read(b"X-A: 1" + b" " * 1_000_000 + b"\r\nX-B: 1\r\n\r\n") is None


# --- writing ---


def test_a_template_is_filled() -> None:
    assert Template(TWO).fill([b"/a", b"2"]) == b"GET /a HTTP/1.1\r\nX-A: 2\r\nX-B: 1\r\n\r\n"
    assert Template([b"", b"", b""]).fill([b"a", b"b"]) == b"ab"
    assert Template([b"a"]).fill([]) == b"a"


def test_a_template_is_the_same_each_time() -> None:
    template = Template(ONE)
    first = template.fill([b"1"])
    template.fill([b"2"])

    assert template.fill([b"1"]) == first


@pytest.mark.parametrize("pieces", [[], [b"a"], [b"a", b"b", b"c"]])
def test_a_template_is_never_filled_with_more_or_less(pieces: list[bytes]) -> None:
    with pytest.raises(ValueError, match="assign"):
        Template(TWO).fill(pieces)


# --- cutting ---

LINES = [b"GET /a HTTP/1.1", b"X-A: 1", b"X-B: two: 2", b"X-C: "]


@pytest.mark.parametrize(
    ("gaps", "expected"),
    [
        ({}, [b"GET /a HTTP/1.1\r\nX-A: 1\r\nX-B: two: 2\r\nX-C: "]),
        ({0: (4, 6)}, [b"GET ", b" HTTP/1.1\r\nX-A: 1\r\nX-B: two: 2\r\nX-C: "]),
        ({1: (5, 6)}, [b"GET /a HTTP/1.1\r\nX-A: ", b"\r\nX-B: two: 2\r\nX-C: "]),
        ({1: (5, 6), 2: (5, 11)}, [b"GET /a HTTP/1.1\r\nX-A: ", b"\r\nX-B: ", b"\r\nX-C: "]),
        ({0: (4, 6), 2: (5, 11)}, [b"GET ", b" HTTP/1.1\r\nX-A: 1\r\nX-B: ", b"\r\nX-C: "]),
        ({3: (5, 5)}, [b"GET /a HTTP/1.1\r\nX-A: 1\r\nX-B: two: 2\r\nX-C: ", b""]),
        ({0: (0, 15)}, [b"", b"\r\nX-A: 1\r\nX-B: two: 2\r\nX-C: "]),
    ],
)
def test_lines_are_cut_at_their_gaps(gaps: dict[int, tuple[int, int]], expected: list[bytes]) -> None:
    parts = cut(LINES, gaps)

    assert parts == expected
    assert Template(parts).fill([LINES[place][begin:end] for place, (begin, end) in gaps.items()]) == b"\r\n".join(LINES)


def test_gaps_are_cut_in_the_order_of_their_lines_however_they_are_given() -> None:
    assert cut(LINES, {2: (5, 11), 0: (4, 6)}) == cut(LINES, {0: (4, 6), 2: (5, 11)})


def test_no_lines_are_cut_into_nothing() -> None:
    assert cut([], {}) == [b""]


@pytest.mark.parametrize(
    ("line", "value"), [(b"X-A: 1", b"1"), (b"X-B: two: 2", b"two: 2"), (b"X-C: ", b""), (b"X: a b", b"a b"), (b"X:: : a", b": a")]
)
def test_the_value_of_a_line_is_behind_the_first_colon_and_space(line: bytes, value: bytes) -> None:
    begin, end = value_of(line)

    assert line[begin:end] == value
    assert end == len(line)


@pytest.mark.parametrize(
    ("other", "places"),
    [
        (LINES, set()),
        ([b"GET /b HTTP/1.1", *LINES[1:]], {0}),
        ([LINES[0], b"X-A: 2", LINES[2], b"X-C: 1"], {1, 3}),
        ([LINES[0], LINES[2], LINES[1], LINES[3]], {1, 2}),
        ([b"", b"", b"", b""], {0, 1, 2, 3}),
    ],
)
def test_what_differs_is_told_by_its_place(other: list[bytes], places: set[int]) -> None:
    assert differing(LINES, other) == differing(other, LINES) == places


@pytest.mark.parametrize("count", [0, 3, 5])
def test_heads_with_more_or_fewer_lines_are_not_compared(count: int) -> None:
    with pytest.raises(ValueError, match="zip"):
        differing(LINES, [b"X: 1"] * count)
