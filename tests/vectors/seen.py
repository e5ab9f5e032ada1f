"""What a scripted upstream has seen besides whole requests."""

import h11

from tests.harness import Request, Upstream


def beginnings(upstream: Upstream) -> list[Request]:
    """The heads of requests that broke off within their body, which is how a refusal within a body must look."""
    found = []
    for served in upstream.served:
        left = bytes(served.history)
        while whole := next((request.raw for request in upstream.requests if left.startswith(request.raw)), b""):
            left = left.removeprefix(whole)
        if left:
            judge = h11.Connection(h11.SERVER)
            judge.receive_data(left)
            event = judge.next_event()
            assert isinstance(event, h11.Request), f"part of a head: {left!r}"
            while isinstance(more := judge.next_event(), h11.Data):
                pass
            assert more is h11.NEED_DATA, f"a refused request looks complete: {left!r}"
            start, _, _ = left.partition(b"\r\n")
            found.append(Request(left, left, start, tuple(event.headers.raw_items())))
    return found
