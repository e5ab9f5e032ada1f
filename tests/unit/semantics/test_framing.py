"""Where messages end, and which heads are refused, case by case."""

from collections.abc import Mapping
from typing import Any

import pytest

from corsproxy import problems
from corsproxy.problems import Problem
from corsproxy.semantics.fields import FieldLine, RequestHead, ResponseHead, survey_request, survey_response
from corsproxy.semantics.framing import (
    CHUNKED_BODY,
    CLOSE_DELIMITED,
    NO_BODY,
    Body,
    BodyKind,
    Refusal,
    Tier,
    connection_options,
    frame,
    has_no_body,
    is_persistent,
    last_chunk,
    nominated,
    parse_length,
    request_body,
    response_body,
    whole_chunks,
)


def table(cases: Mapping[str, object]) -> pytest.MarkDecorator:
    """Make one test per sentence."""
    return pytest.mark.parametrize("case", [pytest.param(case, id=name) for name, case in cases.items()])


def of(length: int) -> Body:
    return Body(BodyKind.LENGTH, length)


AMBIGUOUS = {"version", "status", "coding-in-http-1.0", "no-length"}


def no(reason: str, problem: Problem = problems.BAD_REQUEST) -> Refusal:
    return Refusal(problem, reason, Tier.AMBIGUOUS if reason in AMBIGUOUS else Tier.SEVERE)


def bad(reason: str) -> Refusal:
    return no(reason, problems.UPSTREAM_BAD_HEAD)


def judge_request(*lines: FieldLine, minor: int = 1, method: bytes = b"POST") -> Body | Refusal:
    return request_body(RequestHead(method, b"/", minor, lines), survey_request(lines))


def judge_response(*lines: FieldLine, status: int = 200, minor: int = 1, method: bytes = b"GET") -> Body | Refusal:
    return response_body(ResponseHead(status, b"", minor, lines), survey_response(lines), method)


CHUNKED = (b"Transfer-Encoding", b"chunked")
LENGTH = (b"Content-Length", b"5")


def test_words_for_logs_are_stable() -> None:
    assert [kind.value for kind in BodyKind] == ["none", "length", "chunked", "until-close"]
    assert [tier.value for tier in Tier] == ["acceptable", "ambiguous", "severe"]
    assert Refusal(problems.NO_ROUTE, "x").tier is Tier.ACCEPTABLE


# --- requests -------------------------------------------------------------------------------------


@table(
    {
        "a POST of HTTP/1.0 without a length": (0, b"POST", [], no("no-length", problems.LENGTH_REQUIRED)),
        "a POST of HTTP/1.0 with a length": (0, b"POST", [LENGTH], of(5)),
        "a POST of HTTP/1.0 with a length of zero": (0, b"POST", [(b"Content-Length", b"0")], of(0)),
        "a GET of HTTP/1.0": (0, b"GET", [], NO_BODY),
        "a PUT of HTTP/1.0, of which nothing is said": (0, b"PUT", [], NO_BODY),
        "a POST of HTTP/1.1": (1, b"POST", [], NO_BODY),
    }
)
def test_a_post_of_http_1_0_needs_a_length(case: Any) -> None:
    minor, method, lines, expected = case

    assert judge_request(*lines, minor=minor, method=method) == expected


@table(
    {
        "no field, no body": ([], NO_BODY),
        "a length": ([LENGTH], of(5)),
        "a length of nothing": ([(b"content-length", b"0")], of(0)),
        "chunked": ([CHUNKED], CHUNKED_BODY),
        "chunked in capitals": ([(b"TRANSFER-ENCODING", b"Chunked")], CHUNKED_BODY),
        "length and coding": ([LENGTH, CHUNKED], no("length-and-coding")),
        "coding and length, the other way round": ([CHUNKED, LENGTH], no("length-and-coding")),
        "a bad length does not hide behind a coding": ([CHUNKED, (b"Content-Length", b"x")], no("length-and-coding")),
        "two equal lengths": ([LENGTH, LENGTH], no("content-length")),
        "two lengths": ([LENGTH, (b"Content-Length", b"6")], no("content-length")),
        "a list of lengths": ([(b"Content-Length", b"5, 5")], no("content-length")),
        "a signed length": ([(b"Content-Length", b"+5")], no("content-length")),
        "a negative length": ([(b"Content-Length", b"-5")], no("content-length")),
        "a hexadecimal length": ([(b"Content-Length", b"0x5")], no("content-length")),
        "an empty length": ([(b"Content-Length", b"")], no("content-length")),
        "a length of Arabic digits": ([(b"Content-Length", b"\xd9\xa5")], no("content-length")),
        "a length with an underscore": ([(b"Content-Length", b"1_0")], no("content-length")),
        "gzip before chunked": ([(b"Transfer-Encoding", b"gzip, chunked")], no("transfer-coding", problems.CODING_UNSUPPORTED)),
        "chunked twice": ([(b"Transfer-Encoding", b"chunked, chunked")], no("transfer-coding", problems.CODING_UNSUPPORTED)),
        "chunked on two lines": ([CHUNKED, CHUNKED], no("transfer-coding", problems.CODING_UNSUPPORTED)),
        "identity": ([(b"Transfer-Encoding", b"identity")], no("transfer-coding", problems.CODING_UNSUPPORTED)),
        "an empty coding": ([(b"Transfer-Encoding", b"")], no("transfer-coding", problems.CODING_UNSUPPORTED)),
        "chunked with a parameter": ([(b"Transfer-Encoding", b"chunked;a=b")], no("transfer-coding", problems.CODING_UNSUPPORTED)),
    }
)
def test_a_requests_body_ends_in_one_way_or_the_request_is_refused(case: Any) -> None:
    lines, expected = case

    assert judge_request(*lines) == expected


@table(
    {
        "HTTP/1.0 is read": (0, [LENGTH], of(5)),
        "HTTP/1.0 knows no transfer coding": (0, [CHUNKED], no("coding-in-http-1.0")),
        "HTTP/1.0 with both": (0, [CHUNKED, LENGTH], no("length-and-coding")),
        "HTTP/1.2 is refused": (2, [], no("version")),
        "any other version is refused": (-1, [], no("version")),
    }
)
def test_versions_of_requests(case: Any) -> None:
    minor, lines, expected = case

    assert judge_request(*lines, minor=minor) == expected


@pytest.mark.parametrize(
    "name", [b"Host", b"Origin", b"Access-Control-Request-Method", b"Access-Control-Request-Headers", b"Connection", b"Expect"]
)
def test_fields_that_are_judged_hold_ascii_only(name: bytes) -> None:
    """Rule 4: an Origin that two parties could decode in two ways is refused before anybody judges it."""
    assert judge_request((name, b"close"), (name.lower(), b"clos\xe9")) == no("non-ascii-field")


def test_other_fields_may_hold_any_bytes() -> None:
    assert judge_request((b"X-Name", b"\xe9"), (b"Cookie", b"\xff")) == NO_BODY


@table(
    {
        "close": (b"close", NO_BODY),
        "an unknown field": (b"X-Foo", NO_BODY),
        "the hop-by-hop fields": (b"TE, Trailer, Transfer-Encoding, Upgrade, Keep-Alive, Proxy-Connection, Connection", NO_BODY),
        "empty elements": (b", close,", NO_BODY),
        "no token": (b"close x", no("connection-option")),
        "Content-Length": (b"Content-Length", no("connection-option")),
        "Host in a list": (b"close, host", no("connection-option")),
        "Origin": (b"Origin", no("connection-option")),
        "Authorization": (b"AUTHORIZATION", no("connection-option")),
        "Cookie": (b"Cookie", no("connection-option")),
        "Forwarded": (b"Forwarded", no("connection-option")),
        "X-Forwarded-For": (b"X-Forwarded-For", no("connection-option")),
        "X-Forwarded-Host": (b"X-Forwarded-Host", no("connection-option")),
        "X-Forwarded-Proto": (b"X-Forwarded-Proto", no("connection-option")),
        "Access-Control-Request-Method": (b"Access-Control-Request-Method", no("connection-option")),
        "Access-Control-Request-Headers": (b"Access-Control-Request-Headers", no("connection-option")),
    }
)
def test_a_connection_option_may_not_take_off_what_frames_routes_or_authorizes(case: Any) -> None:
    value, expected = case

    assert judge_request((b"Connection", value)) == expected


def test_a_connection_option_on_a_second_line_is_an_option_too() -> None:
    assert judge_request((b"Connection", b"close"), (b"Connection", b"host")) == no("connection-option")


# --- lengths --------------------------------------------------------------------------------------


@table(
    {
        "leading zeros": ([b"007"], 7),
        "eighteen digits": ([b"9" * 18], 10**18 - 1),
        "nineteen digits": ([b"1" * 19], None),
        "thousands of digits": ([b"1" * 9999], None),
        "a space": ([b"1 "], None),
        "no line": ([], None),
    }
)
def test_parse_length(case: Any) -> None:
    values, expected = case

    assert parse_length(values) == expected


# --- responses ------------------------------------------------------------------------------------


@table(
    {
        "a length": ({}, [LENGTH], of(5)),
        "a length of nothing": ({}, [(b"Content-Length", b"0")], of(0)),
        "chunked": ({}, [CHUNKED], CHUNKED_BODY),
        "chunked in capitals": ({}, [(b"TRANSFER-ENCODING", b"Chunked")], CHUNKED_BODY),
        "neither ends with the connection": ({}, [], CLOSE_DELIMITED),
        "neither, in HTTP/1.0": ({"minor": 0}, [], CLOSE_DELIMITED),
        "a length in HTTP/1.0": ({"minor": 0}, [LENGTH], of(5)),
        "HEAD has no body whatever the fields say": ({"method": b"HEAD"}, [LENGTH], NO_BODY),
        "HEAD has no body even if chunked": ({"method": b"HEAD"}, [CHUNKED], NO_BODY),
        "head in lower case is another method": ({"method": b"head"}, [LENGTH], of(5)),
        "204 has no body": ({"status": 204}, [LENGTH], NO_BODY),
        "304 has no body": ({"status": 304}, [LENGTH], NO_BODY),
        "205 is framed like any other": ({"status": 205}, [LENGTH], of(5)),
        "599 is a status": ({"status": 599}, [LENGTH], of(5)),
        "600 is none": ({"status": 600}, [LENGTH], bad("status")),
        "199 is no final status": ({"status": 199}, [LENGTH], bad("status")),
        "another version": ({"minor": -1}, [LENGTH], bad("version")),
        "HTTP/1.2": ({"minor": 2}, [LENGTH], bad("version")),
        "length and coding": ({}, [LENGTH, CHUNKED], bad("length-and-coding")),
        "length and coding on a 304 is no less a doubt": ({"status": 304}, [LENGTH, CHUNKED], bad("length-and-coding")),
        "a bad length": ({}, [(b"Content-Length", b"5, 6")], bad("content-length")),
        "a bad length on HEAD": ({"method": b"HEAD"}, [(b"Content-Length", b"x")], bad("content-length")),
        "two lengths": ({}, [LENGTH, LENGTH], bad("content-length")),
        "coding in HTTP/1.0": ({"minor": 0}, [CHUNKED], bad("coding-in-http-1.0")),
        "gzip before chunked": ({}, [(b"Transfer-Encoding", b"gzip, chunked")], bad("transfer-coding")),
        "chunked on two lines": ({}, [CHUNKED, CHUNKED], bad("transfer-coding")),
        "identity": ({}, [(b"Transfer-Encoding", b"identity")], bad("transfer-coding")),
        "a length that Connection takes off": ({}, [LENGTH, (b"Connection", b"X, content-length")], bad("connection-option")),
        "a length that Connection takes off where there is none": ({}, [(b"Connection", b"content-length")], CLOSE_DELIMITED),
        "a coding that Connection names": ({}, [CHUNKED, (b"Connection", b"transfer-encoding")], CHUNKED_BODY),
    }
)
def test_a_responses_body_ends_in_one_way_or_the_response_is_not_forwarded(case: Any) -> None:
    options, lines, expected = case

    assert judge_response(*lines, **options) == expected


@table(
    {
        "a GET's 200 has one": (b"GET", 200, False),
        "a GET's 203 has one": (b"GET", 203, False),
        "a HEAD's 200 has none": (b"HEAD", 200, True),
        "a 204 has none": (b"GET", 204, True),
        "a 304 has none": (b"GET", 304, True),
        "an interim response has none": (b"GET", 103, True),
    }
)
def test_has_no_body(case: Any) -> None:
    method, status, expected = case

    assert has_no_body(method, status) is expected


# --- connections ----------------------------------------------------------------------------------


@table(
    {
        "no field": ([], set()),
        "options are lower-cased and trimmed": ([(b"Connection", b" Close ,X-A")], {b"close", b"x-a"}),
        "lines are joined": ([(b"Connection", b"a"), (b"connection", b"b")], {b"a", b"b"}),
        "an empty field": ([(b"Connection", b"")], set()),
    }
)
def test_connection_options(case: Any) -> None:
    lines, expected = case

    assert connection_options(survey_request(lines)) == expected


@table(
    {
        "HTTP/1.1 stays": (1, set(), True),
        "HTTP/1.1 with close ends": (1, {b"close"}, False),
        "HTTP/1.0 ends": (0, set(), False),
        "HTTP/1.0 with keep-alive stays": (0, {b"keep-alive"}, True),
        "close outweighs keep-alive": (1, {b"close", b"keep-alive"}, False),
        "close outweighs keep-alive in HTTP/1.0": (0, {b"close", b"keep-alive"}, False),
    }
)
def test_is_persistent(case: Any) -> None:
    minor, options, expected = case

    assert is_persistent(minor, frozenset(options)) is expected


def test_nominated_are_the_options_that_are_names() -> None:
    assert nominated(frozenset({b"close", b"keep-alive", b"te", b"x-a"})) == {b"te", b"x-a"}


# --- writing --------------------------------------------------------------------------------------


@table(
    {
        "a chunk has its length in hexadecimal": (CHUNKED_BODY, b"x" * 26, b"1a\r\n" + b"x" * 26 + b"\r\n"),
        "no content is no chunk, for it would be the last": (CHUNKED_BODY, b"", b""),
        "content under a length is itself": (of(3), b"abc", b"abc"),
        "content until the close is itself": (CLOSE_DELIMITED, b"abc", b"abc"),
        "where there is no body nothing is written": (NO_BODY, b"abc", b""),
    }
)
def test_frame(case: Any) -> None:
    body, content, expected = case

    assert b"".join(frame(body, content)) == expected


def test_only_chunked_content_has_a_last_chunk() -> None:
    assert last_chunk(CHUNKED_BODY) == b"0\r\n\r\n"
    assert [last_chunk(body) for body in (NO_BODY, of(3), CLOSE_DELIMITED)] == [b"", b"", b""]


# --- whole chunked bodies ---------------------------------------------------------------------------


@table(
    {
        "no content": (b"0\r\n\r\n", []),
        "one chunk": (b"5\r\nabcde\r\n0\r\n\r\n", [b"abcde"]),
        "several chunks": (b"1\r\na\r\n2\r\nbc\r\n3\r\ndef\r\n0\r\n\r\n", [b"a", b"bc", b"def"]),
        "a size in lower case": (b"1a\r\n" + b"x" * 26 + b"\r\n0\r\n\r\n", [b"x" * 26]),
        "a size in upper case": (b"1A\r\n" + b"x" * 26 + b"\r\n0\r\n\r\n", [b"x" * 26]),
        "a size in both cases": (b"aA\r\n" + b"x" * 170 + b"\r\n0\r\n\r\n", [b"x" * 170]),
        "content that looks like the end": (b"7\r\n\r\n0\r\n\r\n\r\n0\r\n\r\n", [b"\r\n0\r\n\r\n"]),
        "content that looks like a size": (b"4\r\n9\r\nx\r\n0\r\n\r\n", [b"9\r\nx"]),
        "any bytes": (b"100\r\n%b\r\n0\r\n\r\n" % bytes(range(256)), [bytes(range(256))]),
        "a large chunk": (b"fffff\r\n%b\r\n0\r\n\r\n" % bytes(0xFFFFF), [bytes(0xFFFFF)]),
    }
)
def test_a_whole_chunked_body_is_taken_apart(case: Any) -> None:
    data, expected = case

    assert whole_chunks(data) == expected


@table(
    {
        "nothing": b"",
        "a size alone": b"5",
        "a size and its line's end": b"5\r\n",
        "less than the size": b"5\r\nabcd",
        "less than the size, and an end": b"5\r\nabcd\r\n0\r\n\r\n",
        "more than the size": b"5\r\nabcdef\r\n0\r\n\r\n",
        "no line end behind the content": b"5\r\nabcde0\r\n\r\n",
        "half a line end behind the content": b"5\r\nabcde\r0\r\n\r\n",
        "no last chunk": b"5\r\nabcde\r\n",
        "half of the last chunk": b"5\r\nabcde\r\n0\r\n",
        "the last chunk without its last byte": b"5\r\nabcde\r\n0\r\n\r",
        "half of an end": b"0\r\n",
        "a byte behind the end": b"5\r\nabcde\r\n0\r\n\r\nx",
        "a line behind the end": b"0\r\n\r\n\r\n",
        "another end behind the end": b"0\r\n\r\n0\r\n\r\n",
        "an answer behind the end": b"0\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
        "a byte before it": b"x5\r\nabcde\r\n0\r\n\r\n",
        "a line before it": b"\r\n5\r\nabcde\r\n0\r\n\r\n",
        "an extension": b"5;a=b\r\nabcde\r\n0\r\n\r\n",
        "an empty extension": b"5;\r\nabcde\r\n0\r\n\r\n",
        "an extension of the last chunk": b"5\r\nabcde\r\n0;a\r\n\r\n",
        "a trailer": b"5\r\nabcde\r\n0\r\nX: 1\r\n\r\n",
        "a leading zero": b"05\r\nabcde\r\n0\r\n\r\n",
        "a last chunk of several zeros": b"5\r\nabcde\r\n00\r\n\r\n",
        "a size of eight digits": b"10000000\r\nabcde\r\n0\r\n\r\n",
        "a size of eight digits with zeros": b"00000005\r\nabcde\r\n0\r\n\r\n",
        "a huge size": b"f" * 40 + b"\r\nabcde\r\n0\r\n\r\n",
        "a size that wraps": b"10000000000000005\r\nabcde\r\n0\r\n\r\n",
        "a size that is not there": b"fffffff\r\nabcde\r\n0\r\n\r\n",
        "no size": b"\r\nabcde\r\n0\r\n\r\n",
        "a sign": b"+5\r\nabcde\r\n0\r\n\r\n",
        "a negative size": b"-5\r\nabcde\r\n0\r\n\r\n",
        "an underscore": b"1_0\r\n" + b"x" * 16 + b"\r\n0\r\n\r\n",
        "a prefix": b"0x5\r\nabcde\r\n0\r\n\r\n",
        "a blank before the size": b" 5\r\nabcde\r\n0\r\n\r\n",
        "a blank behind the size": b"5 \r\nabcde\r\n0\r\n\r\n",
        "a tab behind the size": b"5\t\r\nabcde\r\n0\r\n\r\n",
        "a blank behind the last size": b"5\r\nabcde\r\n0 \r\n\r\n",
        "a letter beyond f": b"g\r\nabcde\r\n0\r\n\r\n",
        "other digits": b"\xd9\xa5\r\nabcde\r\n0\r\n\r\n",
        "a bare LF behind the size": b"5\nabcde\r\n0\r\n\r\n",
        "a bare CR behind the size": b"5\rabcde\r\n0\r\n\r\n",
        "a bare LF behind the content": b"5\r\nabcde\n0\r\n\r\n",
        "a bare LF in the last chunk": b"5\r\nabcde\r\n0\n\r\n",
        "a bare LF at the end": b"5\r\nabcde\r\n0\r\n\n",
        "two line ends behind the content": b"5\r\nabcde\r\n\r\n0\r\n\r\n",
    }
)
def test_a_body_that_is_not_whole_or_not_plainly_chunked_is_not_taken_apart(case: Any) -> None:
    assert whole_chunks(case) is None


def test_no_part_of_a_chunked_body_is_taken_for_all_of_it() -> None:
    data = b"a\r\n0\r\n\r\n0\r\n\r\n\r\n3\r\nabc\r\n0\r\n\r\n"

    assert whole_chunks(data) == [b"0\r\n\r\n0\r\n\r\n", b"abc"]
    assert [size for size in range(len(data)) if whole_chunks(data[:size]) is not None] == []


def test_what_is_framed_here_is_taken_apart_again() -> None:
    pieces = [b"a", b"\r\n", b"x" * 70_000, b"0\r\n\r\n"]
    data = b"".join(part for piece in pieces for part in frame(CHUNKED_BODY, piece)) + last_chunk(CHUNKED_BODY)

    assert whole_chunks(data) == pieces
