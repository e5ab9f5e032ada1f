"""Trace context where spans are made: the upstream learns of ours, whatever lane an exchange takes."""

import pytest
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import DEFAULT_ON

from corsproxy.observe.tracing import Tracing
from tests.harness import ORIGIN, STRANGER, Proxy, Upstream, exchange, get, ok

TRACE = b"4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = b"00f067aa0ba902b7"


class Spans:
    def __init__(self) -> None:
        self._exporter = InMemorySpanExporter()
        provider = TracerProvider(DEFAULT_ON, Resource({}), shutdown_on_exit=False)
        provider.add_span_processor(SimpleSpanProcessor(self._exporter))
        self.tracing = Tracing(provider)

    async def of(self, front: Proxy) -> ReadableSpan:
        """The span of the only exchange, ended as the app's witness does it."""
        (record,) = await front.recorded()
        self.tracing.add(record)
        (span,) = self._exporter.get_finished_spans()
        return span


@pytest.fixture
def spans(front: Proxy) -> Spans:
    made = Spans()
    front.gateway.tracer = made.tracing
    return made


async def test_the_upstream_is_a_child_of_our_span(front: Proxy, upstream: Upstream, spans: Spans) -> None:
    sent = get(b"/a?b", b"Origin: " + ORIGIN, b"traceparent: 00-%b-%b-01" % (TRACE, PARENT), b"tracestate: a=b")
    seen, _ = await exchange(front, upstream, sent, ok())
    span = await spans.of(front)

    assert span.context is not None
    assert span.parent is not None
    assert seen.value(b"traceparent") == b"00-%b-%016x-01" % (TRACE, span.context.span_id)
    assert seen.value(b"tracestate") == b"a=b"
    assert b"%016x" % span.parent.span_id == PARENT
    assert (front.records[0].trace_id, front.records[0].span_id) == (TRACE.decode(), f"{span.context.span_id:016x}")


async def test_a_trace_begins_where_none_came(front: Proxy, upstream: Upstream, spans: Spans) -> None:
    seen, _ = await exchange(front, upstream, get(), ok())
    span = await spans.of(front)

    assert span.context is not None
    assert seen.value(b"traceparent") == b"00-%032x-%016x-01" % (span.context.trace_id, span.context.span_id)
    assert front.records[0].trace_id == f"{span.context.trace_id:032x}"


async def test_what_never_goes_upstream_has_a_span_too(front: Proxy, spans: Spans) -> None:
    got = await front.ask(get(b"/", b"Origin: " + STRANGER))
    span = await spans.of(front)

    assert got.status == 403
    assert span.attributes is not None
    assert span.attributes["corsproxy.reason"] == "origin-refused"


async def test_without_spans_a_parent_passes_as_it_is(front: Proxy, upstream: Upstream) -> None:
    parent = b"00-%b-%b-01" % (TRACE, PARENT)
    seen, _ = await exchange(front, upstream, get(b"/", b"traceparent: " + parent), ok())

    assert seen.value(b"traceparent") == parent
    assert (await front.recorded())[0].span_id == ""
