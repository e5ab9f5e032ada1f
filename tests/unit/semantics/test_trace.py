"""traceparent and the request id."""

import pytest

from corsproxy.semantics.trace import TraceParent, begin, is_request_id, parse_traceparent

TRACE = b"4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = b"00f067aa0ba902b7"
KNOWN = TraceParent(TRACE, PARENT, 1)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        pytest.param([b"00-%b-%b-01" % (TRACE, PARENT)], KNOWN, id="version 00"),
        pytest.param([b"00-%b-%b-ff" % (TRACE, PARENT)], TraceParent(TRACE, PARENT, 255), id="unknown flags"),
        pytest.param([b"01-%b-%b-01" % (TRACE, PARENT)], KNOWN, id="a later version"),
        pytest.param([b"cc-%b-%b-01-what the future brings" % (TRACE, PARENT)], KNOWN, id="a later version with more"),
        pytest.param([b"cc-%b-%b-01-" % (TRACE, PARENT)], KNOWN, id="a later version with a dash at its end"),
        pytest.param([b"cc-%b-%b-01.x" % (TRACE, PARENT)], None, id="a later version with more, but no dash"),
        pytest.param([b"00-%b-%b-01-x" % (TRACE, PARENT)], None, id="version 00 with more"),
        pytest.param([b"00-%b-%b-01-" % (TRACE, PARENT)], None, id="version 00 with a dash at its end"),
        pytest.param([b"ff-%b-%b-01" % (TRACE, PARENT)], None, id="the version that never comes"),
        pytest.param([b"00-%b-%b-01" % (b"0" * 32, PARENT)], None, id="no trace"),
        pytest.param([b"00-%b-%b-01" % (TRACE, b"0" * 16)], None, id="no parent"),
        pytest.param([b"00-%b-%b-01" % (TRACE.upper(), PARENT)], None, id="upper case"),
        pytest.param([b"00-%b-%b-1" % (TRACE, PARENT)], None, id="short flags"),
        pytest.param([b"00-%b-%b" % (TRACE, PARENT)], None, id="no flags"),
        pytest.param([b"00-%b-%b-01" % (TRACE[1:], PARENT)], None, id="a short trace"),
        pytest.param([b"00-%b-%b-01\n" % (TRACE, PARENT)], None, id="a line break"),
        pytest.param([b"00-%b-%b-01" % (TRACE, PARENT)] * 2, None, id="two lines"),
        pytest.param([b""], None, id="an empty line"),
        pytest.param([], None, id="no line"),
    ],
)
def test_traceparent_is_read_strictly(values: list[bytes], expected: TraceParent | None) -> None:
    assert parse_traceparent(values) == expected


def test_a_trace_begins_sampled() -> None:
    name, value = begin(TRACE, PARENT)

    assert (name, value) == (b"traceparent", b"00-%b-%b-01" % (TRACE, PARENT))
    assert parse_traceparent([value]) == KNOWN


def test_a_trace_may_begin_without_being_sampled() -> None:
    found = parse_traceparent([begin(TRACE, PARENT, sampled=False)[1]])

    assert found == TraceParent(TRACE, PARENT, 0)


@pytest.mark.parametrize(
    ("value", "is_good"),
    [
        (b"4bf92f35-77b3.4da6_A3", True),
        (b"a" * 8, True),
        (b"a" * 128, True),
        (b"a" * 7, False),
        (b"a" * 129, False),
        (b"abcdefgh\n", False),
        (b"abcd efgh", False),
        (b"abcdefg\xe9", False),
        (b"<script>", False),
        (b"", False),
    ],
)
def test_a_request_id_is_taken_over_when_it_is_harmless(value: bytes, is_good: bool) -> None:  # noqa: FBT001
    assert is_request_id(value) is is_good
