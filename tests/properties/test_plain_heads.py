"""One reader takes the heads of all connections: what it has read before must not matter, and must not pile up."""

import asyncio

import pytest
from aiohttp import hdrs
from aiohttp.base_protocol import BaseProtocol
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.http_parser import HttpRequestParser
from hypothesis import given
from hypothesis import strategies as st
from multidict import istr

from corsproxy.gateway.plain import MAX_SPELLINGS, SINGLETONS, PlainHeads
from corsproxy.semantics.fields import RequestHead
from tests.harness import get
from tests.properties.exchanges import request

Read = tuple[RequestHead | None, int, bool, int, bytes]


def reader() -> PlainHeads:
    made = PlainHeads()
    made.max_bytes, made.max_lines = 64 * 1024, 100
    return made


def read(heads: PlainHeads, raw: bytes) -> Read | None:
    head = heads.read(raw)
    return (head, heads.length, heads.is_chunked, heads.marks, heads.user_agent) if head is not None else None


@given(data=st.data())
def test_what_was_read_before_does_not_matter(data: st.DataObject) -> None:
    used = reader()
    for place in range(data.draw(st.integers(1, 6))):
        raw = request(lambda count: data.draw(st.integers(0, count - 1)), place)
        head = raw[: raw.find(b"\r\n\r\n") + 4]
        assert read(used, head) == read(reader(), head)


@pytest.mark.parametrize(
    "before",
    [
        get(b"/", b"Connection: close"),
        get(b"/", b"Content-Length: 5", method=b"PUT"),
        get(b"/", b"Transfer-Encoding: chunked", method=b"PUT"),
        get(b"/", b"Upgrade: websocket", b"Connection: upgrade"),
        b"GET / HTTP/1.1\r\nHost: a\r\nX : 1\r\n\r\n",
        b"GET / HT\r\n\r\n",
    ],
)
def test_a_body_or_an_end_that_was_announced_is_forgotten(before: bytes) -> None:
    heads = reader()
    heads.read(before)
    head = heads.read(get(b"/next", b"X-A: 1"))

    assert head is not None
    assert (head.target, head.lines, heads.length, heads.is_chunked) == (b"/next", [(b"Host", b"proxy.test"), (b"X-A", b"1")], 0, False)


def test_a_client_that_makes_names_up_makes_nothing_grow() -> None:
    heads = reader()
    for number in range(3 * MAX_SPELLINGS):
        assert heads.read(get(b"/", b"X-%d: %d" % (number, number))) is not None

    assert len(heads._spellings) == MAX_SPELLINGS
    # Those that were not learned are judged all the same.
    assert heads.read(get(b"/", b"uPGRADE: x")) is None
    assert heads.read(get(b"/", b"eTAG: x", b"etag: y")) is None


def test_aiohttp_takes_one_line_of_the_same_fields() -> None:
    """Where it would refuse a second line, the express lane must not take one."""
    names = {str(value).encode().lower() for value in vars(hdrs).values() if isinstance(value, istr)}
    with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
        refused = {name for name in names | set(SINGLETONS) if is_refused_twice(runner.get_loop(), name)}

    # Whatever else aiohttp refuses, llhttp refuses as well, or the lane never takes.
    assert refused - set(SINGLETONS) <= {b"sec-websocket-key1", b"upgrade"}
    assert set(SINGLETONS) <= refused


def is_refused_twice(loop: asyncio.AbstractEventLoop, name: bytes) -> bool:
    value = {b"content-length": b"0", b"transfer-encoding": b"chunked"}.get(name, b"1")
    lines = [name + b": " + value] * (1 if name == b"host" else 2)
    try:
        HttpRequestParser(BaseProtocol(loop), loop, 2**16, auto_decompress=False).feed_data(get(b"/", *lines))
    except HttpProcessingError:
        return True
    return False
