"""Via, Max-Forwards and TE."""

import pytest

from corsproxy.semantics.hops import has_passed, max_forwards, takes_trailers, via_line


@pytest.mark.parametrize(("minor", "line"), [(0, b"1.0 corsproxy-1a"), (1, b"1.1 corsproxy-1a")])
def test_via_names_the_version_that_the_request_came_in(minor: int, line: bytes) -> None:
    assert via_line(minor, b"corsproxy-1a") == (b"Via", line)


@pytest.mark.parametrize(
    ("values", "passed"),
    [
        pytest.param([], False, id="nobody has seen it"),
        pytest.param([b"1.1 corsproxy-1a"], True, id="we alone"),
        pytest.param([b"1.0 fred, 1.1 corsproxy-1a (test)"], True, id="we among others, with a comment"),
        pytest.param([b"1.1 fred", b"1.1 corsproxy-1a"], True, id="we on a second line"),
        pytest.param([b"1.1 corsproxy-2b"], False, id="another proxy of our kind"),
        pytest.param([b"1.1 corsproxy-1ab"], False, id="a name that begins like ours"),
        pytest.param([b"corsproxy-1a 1.1"], False, id="our name where the protocol should be"),
        pytest.param([b"1.1 fred (corsproxy-1a)"], False, id="our name in a comment"),
        pytest.param([b"corsproxy-1a"], False, id="a lone word"),
        pytest.param([b",,"], False, id="empty elements"),
    ],
)
def test_a_loop_is_our_own_name_as_a_recipient(values: list[bytes], passed: bool) -> None:  # noqa: FBT001
    assert has_passed(values, b"corsproxy-1a") is passed


@pytest.mark.parametrize(
    ("values", "number"),
    [
        ([b"0"], 0),
        ([b"10"], 10),
        ([], None),
        ([b"-1"], None),
        ([b"+1"], None),
        ([b"1", b"1"], None),
        ([b"1, 1"], None),
        ([b"\xb2"], None),
        ([b"9" * 10], None),
        ([b""], None),
    ],
)
def test_max_forwards_is_a_number_or_ignored(values: list[bytes], number: int | None) -> None:
    assert max_forwards(values) == number


@pytest.mark.parametrize(
    ("values", "takes"),
    [
        ([b"trailers"], True),
        ([b"Trailers"], True),
        ([b"gzip;q=0.5, trailers"], True),
        ([b"gzip", b"trailers"], True),
        ([b"trailers;q=1"], True),
        ([], False),
        ([b"gzip"], False),
        ([b"no-trailers"], False),
    ],
)
def test_trailers_are_taken_by_those_who_say_so(values: list[bytes], takes: bool) -> None:  # noqa: FBT001
    assert takes_trailers(values) is takes
