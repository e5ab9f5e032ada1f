"""
Spans: one for each exchange, sent by OpenTelemetry's own SDK where it is installed and its variables ask for it.

It knows what stands in a span, and how a trace goes on through the proxy; batches, samplers and exporters are the SDK's, which is loaded only here
and only then. Everything that may block does so on the SDK's threads.
"""

import asyncio
import logging
import os
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from corsproxy import __version__, problems
from corsproxy.observe.details import details
from corsproxy.observe.fields import attributes, nanoseconds, target_of, text_of
from corsproxy.record import ExchangeRecord
from corsproxy.semantics.fields import FieldLine, RequestHead
from corsproxy.semantics.trace import begin, parse_traceparent

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SpanExporter

_log = logging.getLogger("corsproxy")

# How long the end of the proxy waits for spans that are on their way.
CLOSE_S: Final = 2.0
# The same trouble is told of so often.
_SAY_EVERY_S: Final = 60.0
# > Instrumentations MUST set it to a normalized, low-cardinality value: `_OTHER` for a method that is not known (HTTP conventions)
_KNOWN_METHODS: Final = frozenset({"CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE"})
_OTHER: Final = "_OTHER"
_TRACE_FIELDS: Final = (b"traceparent", b"tracestate")
# These say of a span what its own parts say.
_OF_THE_SPAN: Final = ("trace.id", "span.id", "event.duration")
_ENDPOINTS: Final = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
_GROUP: Final = "opentelemetry_traces_exporter"
_PROTOCOLS: Final = {"http/protobuf": "otlp_proto_http", "http/json": "otlp_json_http", "grpc": "otlp_proto_grpc"}


class Tracing:
    """
    Makes a span of each exchange that its sampler takes.

    `enter` begins it before the request is judged, so that the upstream's own span becomes its child; `add` ends it.
    """

    def __init__(self, provider: "TracerProvider") -> None:
        from opentelemetry import trace  # noqa: PLC0415 - an extra
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator  # noqa: PLC0415 - an extra

        self._trace = trace
        self._trouble = _Trouble()
        self._is_closing = False
        self._provider = provider
        self._tracer = provider.get_tracer("corsproxy", __version__)
        self._propagator = TraceContextTextMapPropagator()

    def enter(self, head: RequestHead, record: ExchangeRecord) -> RequestHead:
        """
        Begin a span, and write it into the request's trace context: what goes upstream names it as the parent.

        A traceparent that is not valid is replaced, and its tracestate goes with it. One that is valid and not sampled passes as it is.

        Spec: Trace Context 3.2, 3.3.1, 4.3 (Mutating the traceparent Field).
        """
        try:
            return self._enter(head, record)
        except Exception as error:  # noqa: BLE001 - samplers are anybody's
            self._trouble.say(f"a span cannot begin: {error!r}")
            return head

    def _enter(self, head: RequestHead, record: ExchangeRecord) -> RequestHead:
        given = [line for line in head.lines if line[0].lower() in _TRACE_FIELDS]
        parent = parse_traceparent([value for name, value in given if name.lower() == _TRACE_FIELDS[0]]) if given else None
        method = _method_of(record)
        span = self._tracer.start_span(
            method if method != _OTHER else "HTTP",
            context=self._context(given) if parent is not None else self._root(),
            kind=self._trace.SpanKind.SERVER,
            attributes={"http.request.method": method, "url.path": target_of(record.target)[0]},
            start_time=int(record.time * 1e9),
        )
        own = span.get_span_context()
        if span.is_recording():
            record.span, record.span_id = span, f"{own.span_id:016x}"
        elif parent is not None and not parent.flags & 1:
            return head
        # > the parent-id field MUST be set to a new value with the sampled flag update
        line = begin(b"%032x" % own.trace_id, b"%016x" % own.span_id, sampled=own.trace_flags.sampled)
        lines = [each for each in head.lines if each not in given or (parent is not None and each[0].lower() == _TRACE_FIELDS[1])]
        return head._replace(lines=(*lines, line))

    def add(self, record: ExchangeRecord) -> None:
        """End the span of an exchange that has ended."""
        span, record.span = record.span, None
        if span is None:
            return
        span.set_attributes(_attributes_of(record))
        problem = record.problem
        # > For HTTP status codes in the 4xx range span status MUST be left unset in case of SpanKind.SERVER
        if record.status >= 500 or (problem is not None and problem.stage is not problems.Stage.CLIENT):
            span.set_status(self._trace.StatusCode.ERROR)
        span.end(int(record.time * 1e9) + (nanoseconds(record.started, record.ended) or 0))

    async def close(self, timeout_s: float = CLOSE_S) -> None:
        """Send what waits, for as long as that may take; after it nothing is sent any more, and another call has nothing to wait for."""
        if self._is_closing:
            return
        self._is_closing = True
        loop, done = asyncio.get_running_loop(), asyncio.Event()

        def shut_down() -> None:
            self._provider.shutdown()
            # The loop may have waited in vain, and be closed.
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(done.set)

        threading.Thread(target=shut_down, name="corsproxy-spans", daemon=True).start()
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await done.wait()

    def _context(self, given: list[FieldLine]) -> "Context":
        carrier: dict[str, list[str]] = {}
        for name, value in given:
            carrier.setdefault(name.lower().decode(), []).append(value.decode("latin-1"))
        return self._propagator.extract(carrier)

    def _root(self) -> "Context":
        # An empty context: none that happens to be current in this thread.
        return self._trace.set_span_in_context(self._trace.INVALID_SPAN)


def start_tracing(variables: Mapping[str, str] = os.environ) -> Tracing | None:
    """
    Begin to send spans if the variables of OpenTelemetry ask for it, in its own words.

    Without the extra, or with an exporter that is not installed, that is said, and the proxy goes on without.
    """
    name = exporter_name(variables)
    if not name:
        return None
    try:
        return Tracing(_provider(name))
    except _Unavailable as error:
        said = str(error)
    except ImportError:
        said = "the variables OTEL_* ask for spans, and the extra `otel` is not installed"
    except Exception as error:  # noqa: BLE001 - whatever an exporter finds wrong with its variables
        said = f"the exporter {name} cannot begin: {error}"
    problem = problems.SPANS_UNAVAILABLE
    _log.warning("%s %s", problem.code, said, extra=details(problem))
    return None


def exporter_name(variables: Mapping[str, str]) -> str:
    """
    Return the exporter that the variables name, by the name of its entry point; "" where they ask for no spans.

    Spec: OpenTelemetry environment variables: OTEL_SDK_DISABLED, OTEL_TRACES_EXPORTER, OTEL_EXPORTER_OTLP_*.
    """
    if variables.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return ""
    named = variables.get("OTEL_TRACES_EXPORTER", "").strip().lower()
    if not named and any(variables.get(endpoint, "").strip() for endpoint in _ENDPOINTS):
        named = "otlp"
    if named in ("", "none"):
        return ""
    protocol = variables.get("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL") or variables.get("OTEL_EXPORTER_OTLP_PROTOCOL") or "http/protobuf"
    return _PROTOCOLS.get(protocol.strip().lower(), f"otlp with {protocol.strip()}") if named == "otlp" else named


class _Unavailable(Exception):
    """What the variables ask for is not to be had."""


class _Trouble(logging.Handler):
    """Tells what the SDK says of itself as events of the proxy: in one line, and not at every attempt."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._said: dict[str, float] = {}

    def emit(self, record: logging.LogRecord) -> None:
        """Tell of one; what is filled into a message may differ each time, and the messages are few."""
        cause = f": {record.exc_info[1]!r}" if record.exc_info else ""
        self.say(f"{record.getMessage()}{cause}", str(record.msg))

    def say(self, text: str, kind: str = "") -> None:
        """Tell of something, unless its kind was told of a moment ago."""
        now = time.monotonic()
        if now - self._said.get(kind, -_SAY_EVERY_S) < _SAY_EVERY_S:
            return
        self._said[kind] = now
        problem = problems.SPANS_LOST
        _log.warning("%s %s", problem.code, text, extra=details(problem))


def _provider(name: str) -> "TracerProvider":
    from opentelemetry.sdk.resources import Resource  # noqa: PLC0415 - an extra
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415 - an extra
    from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415 - an extra

    logger = logging.getLogger("opentelemetry")
    logger.handlers[:], logger.propagate = [_Trouble()], False
    resource = Resource({"service.version": __version__}).merge(Resource.create())
    if str(resource.attributes.get("service.name", "")).startswith("unknown_service"):
        resource = resource.merge(Resource({"service.name": "corsproxy"}))
    # The proxy shuts it down itself, within bounds.
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(_exporter(name)))
    return provider


def _exporter(name: str) -> "SpanExporter":
    from importlib.metadata import entry_points  # noqa: PLC0415 - it brings zipfile and csv, and most proxies send no spans

    found: list[EntryPoint] = list(entry_points(group=_GROUP, name=name))
    if not found:
        raise _Unavailable(f"the variables OTEL_* ask for the exporter {name}, which is not installed")
    made: SpanExporter = found[0].load()()
    return made


def _method_of(record: ExchangeRecord) -> str:
    method = text_of(record.method)
    return method if method in _KNOWN_METHODS else _OTHER


def _attributes_of(record: ExchangeRecord) -> dict[str, Any]:
    said: dict[str, Any] = {name: value for name, value in attributes(record).items() if name not in _OF_THE_SPAN}
    method = _method_of(record)
    if method == _OTHER:
        said |= {"http.request.method": method, "http.request.method_original": text_of(record.method)}
    # > error.type: … a status code number, or a low-cardinality identifier
    if record.status >= 500:
        said.setdefault("error.type", str(record.status))
    return said
