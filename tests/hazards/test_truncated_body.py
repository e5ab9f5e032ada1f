"""
The danger: a response that the upstream did not finish, and that a client or a cache takes for the whole.

Spec: RFC 9112 8 (a message is incomplete if the connection closes before its end).
"""

import pytest

from tests.harness import Proxy, Upstream, chunked, complete_status, connect, head, ok

_BODY = b"0123456789" * 7
_LINES = (b"Content-Type: text/plain", b"X-Request-Id: 7d3f", b"Set-Cookie: sid=1; Path=/")

FORMS = {
    "length": ok(_BODY, *_LINES),
    "chunked": head(b"HTTP/1.1 200 OK", *_LINES, b"Transfer-Encoding: chunked") + chunked(_BODY[:30], _BODY[30:]),
    "chunked with trailers": head(b"HTTP/1.1 200 OK", *_LINES, b"Transfer-Encoding: chunked") + chunked(_BODY, trailers=[b"X-Sum: 1"]),
    "until close": head(b"HTTP/1.1 200 OK", *_LINES) + _BODY,
    "HTTP/1.0 with a length": head(b"HTTP/1.0 200 OK", *_LINES, b"Content-Length: 70") + _BODY,
    "interim": head(b"HTTP/1.1 103 Early Hints", b"Link: </a>; rel=preload") + ok(_BODY, *_LINES),
}
# The end of the connection is the end of such a body, so only a reset is a truncation.
CASES = [(form, how) for form in FORMS for how in ("fin", "reset") if (form, how) != ("until close", "fin")]


@pytest.mark.parametrize(("form", "how"), CASES)
@pytest.mark.parametrize("version", [b"HTTP/1.1", b"HTTP/1.0"])
async def test_an_upstream_that_dies_at_any_byte_leaves_no_complete_answer(
    front: Proxy, upstream: Upstream, form: str, how: str, version: bytes
) -> None:
    """Either a whole problem of ours, or a part that shows that it is one."""
    whole = FORMS[form]
    assert 140 <= len(whole) <= 260
    last = len(whole) + (form == "until close")
    problems = 0
    for place in range(last):
        with await connect(front.port) as client:
            await client.send(head(b"GET / " + version, b"Host: proxy.test", b"Connection: close"))
            served = await upstream.accept()
            await served.read_request()
            await served.send_in_pieces(whole[:place])
            if how == "fin":
                served.close()
            else:
                served.reset()
            got = await client.read_until_close()
            status = complete_status(got, client.ended)
            assert status in (0, 502), f"{place} bytes: {got!r}, then {client.ended}"
            problems += status == 502
    assert problems > len(head(b"HTTP/1.1 200 OK"))
