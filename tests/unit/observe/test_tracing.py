"""Spans: which exchanges get one, what stands in it, and what the upstream learns of it."""

import asyncio
import logging
import re
import sys
from collections.abc import Iterator

import pytest
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider, sampling
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from corsproxy import __version__, problems
from corsproxy.observe.tracing import Tracing, exporter_name, start_tracing
from corsproxy.record import ExchangeRecord
from corsproxy.semantics.fields import FieldLine, RequestHead
from corsproxy.semantics.trace import parse_traceparent
from tests.collector import Collector, collecting
from tests.unit.observe.exchanges import forwarded, record

TRACE = b"4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = b"00f067aa0ba902b7"
SAMPLED = b"00-%b-%b-01" % (TRACE, PARENT)
UNSAMPLED = b"00-%b-%b-00" % (TRACE, PARENT)
FULL = "http/protobuf"


class Recorder:
    """Tracing whose spans stay here."""

    def __init__(self, sampler: sampling.Sampler | None = None) -> None:
        self._exporter = InMemorySpanExporter()
        provider = TracerProvider(sampler or sampling.DEFAULT_ON, Resource({}), shutdown_on_exit=False)
        provider.add_span_processor(SimpleSpanProcessor(self._exporter))
        self.tracing = Tracing(provider)

    @property
    def spans(self) -> tuple[ReadableSpan, ...]:
        return self._exporter.get_finished_spans()

    def enter(self, made: ExchangeRecord, *lines: FieldLine) -> list[FieldLine]:
        """Begin a span; hands out the lines that are judged and sent on."""
        return list(self.tracing.enter(RequestHead(made.method, made.target, 1, lines), made).lines)

    def span(self, made: ExchangeRecord, *lines: FieldLine) -> ReadableSpan:
        self.enter(made, *lines)
        self.tracing.add(made)
        (span,) = self.spans
        return span


@pytest.fixture(autouse=True)
def heard(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logging.getLogger("corsproxy"), "propagate", True)
    caplog.set_level(logging.INFO, "corsproxy")


@pytest.fixture(autouse=True)
def library_log(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the SDK says goes where it went before, afterwards."""
    logger = logging.getLogger("opentelemetry")
    monkeypatch.setattr(logger, "handlers", [])
    monkeypatch.setattr(logger, "propagate", True)


@pytest.fixture(autouse=True)
def no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OTEL_TRACES_SAMPLER", raising=False)
    for name in ("OTEL_SERVICE_NAME", "OTEL_RESOURCE_ATTRIBUTES", "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_TRACES_EXPORTER"):
        monkeypatch.delenv(name, raising=False)


# --- what stands in a span ---


def test_a_span_says_what_the_log_says() -> None:
    span = Recorder().span(forwarded(span_id="", problem=None, failure=""))

    assert (span.name, span.kind, span.status.status_code) == ("GET", SpanKind.SERVER, StatusCode.UNSET)
    assert (span.start_time, span.end_time) == (1_700_000_000_000_000_000, 1_700_000_000_250_000_000)
    assert span.attributes == {
        "http.request.method": "GET",
        "url.path": "/orders",
        "url.query": "page=2&token=REDACTED",
        "http.response.status_code": 200,
        "http.request.id": "abcdefgh",
        "client.address": "203.0.113.9",
        "user_agent.original": "curl/8",
        "server.address": "api.example.com",
        "url.scheme": "https",
        "network.protocol.version": "1.1",
        "corsproxy.origin": "https://app.example.com",
        "corsproxy.kind": "actual",
        "corsproxy.reason": "origin-allowed",
        "corsproxy.upstream": "http://up:81",
        "corsproxy.retries": 1,
        "corsproxy.wait_duration": pytest.approx(1_000_000, abs=1),
        "corsproxy.connect_duration": pytest.approx(2_000_000, abs=1),
        "corsproxy.head_duration": pytest.approx(197_000_000, abs=1),
        "http.request.body.size": 3,
        "http.response.body.size": 7,
    }


@pytest.mark.parametrize(
    ("changes", "status", "error"),
    [
        ({"status": 404}, StatusCode.UNSET, None),
        ({"status": 403, "problem": problems.ORIGIN_REFUSED}, StatusCode.UNSET, "origin_refused"),
        ({"status": 500}, StatusCode.ERROR, "500"),
        ({"status": 502, "problem": problems.UPSTREAM_REFUSED}, StatusCode.ERROR, "connection_refused"),
        ({"status": 200, "problem": problems.UPSTREAM_TRUNCATED}, StatusCode.ERROR, "truncated"),
        ({"status": 0, "problem": problems.CLIENT_GONE}, StatusCode.UNSET, "client_gone"),
    ],
)
def test_what_failed_is_an_error(changes: dict[str, object], status: StatusCode, error: str | None) -> None:
    span = Recorder().span(record(**changes))

    assert span.status.status_code is status
    assert (span.attributes or {}).get("error.type") == error


def test_methods_that_nobody_knows_are_one() -> None:
    span = Recorder().span(record(method=b"PROPFIND"))

    assert span.name == "HTTP"
    assert span.attributes is not None
    assert (span.attributes["http.request.method"], span.attributes["http.request.method_original"]) == ("_OTHER", "PROPFIND")


# --- where a span stands in its trace ---


def test_the_span_is_the_childs_parent_and_the_parents_child() -> None:
    recorder = Recorder()
    made = record()
    lines = recorder.enter(made, (b"Accept", b"*/*"), (b"traceparent", SAMPLED), (b"tracestate", b"a=b"), (b"X", b"y"))
    recorder.tracing.add(made)
    (span,) = recorder.spans

    assert span.parent is not None
    assert span.context is not None
    assert (b"%032x" % span.context.trace_id, b"%016x" % span.parent.span_id) == (TRACE, PARENT)
    assert span.context.trace_state.to_header() == "a=b"
    assert lines == [
        (b"Accept", b"*/*"),
        (b"tracestate", b"a=b"),
        (b"X", b"y"),
        (b"traceparent", b"00-%b-%016x-01" % (TRACE, span.context.span_id)),
    ]
    assert made.span_id == f"{span.context.span_id:016x}"


def test_without_a_parent_a_trace_begins() -> None:
    recorder = Recorder()
    made = record()
    (line,) = recorder.enter(made)
    recorder.tracing.add(made)
    (span,) = recorder.spans
    parsed = parse_traceparent([line[1]])

    assert parsed is not None
    assert span.context is not None
    assert (int(parsed.trace_id, 16), int(parsed.parent_id, 16), parsed.flags) == (span.context.trace_id, span.context.span_id, 1)
    assert span.parent is None


@pytest.mark.parametrize("sent", [[b"nonsense"], [SAMPLED, SAMPLED], [b"ff" + SAMPLED[2:]]])
def test_a_parent_that_is_not_valid_is_replaced_with_its_state(sent: list[bytes]) -> None:
    recorder = Recorder()
    made = record()
    lines = recorder.enter(made, *((b"Traceparent", value) for value in sent), (b"tracestate", b"a=b"))

    (line,) = lines
    assert line[0] == b"traceparent"
    assert not line[1].startswith(b"00-" + TRACE)


def test_a_trace_that_is_not_sampled_passes_as_it_is() -> None:
    recorder = Recorder()
    made = record()
    lines = [(b"traceparent", UNSAMPLED), (b"tracestate", b"a=b")]

    assert recorder.enter(made, *lines) == lines
    recorder.tracing.add(made)
    assert recorder.spans == ()
    assert made.span_id == ""


def test_a_sampler_that_takes_nothing_says_so_to_those_behind() -> None:
    recorder = Recorder(sampling.ALWAYS_OFF)
    made = record()
    ((_, began),) = recorder.enter(made)
    ((_, changed),) = recorder.enter(record(), (b"traceparent", SAMPLED))
    recorder.tracing.add(made)

    assert re.fullmatch(rb"00-[0-9a-f]{32}-[0-9a-f]{16}-00", began)
    assert re.fullmatch(rb"00-%b-[0-9a-f]{16}-00" % TRACE, changed)
    assert changed != UNSAMPLED
    assert recorder.spans == ()


def test_a_sampler_that_breaks_costs_a_span_and_no_exchange(caplog: pytest.LogCaptureFixture) -> None:
    class Broken(sampling.Sampler):
        def should_sample(self, *_args: object, **_named: object) -> sampling.SamplingResult:
            raise ValueError("broken")

        def get_description(self) -> str:
            return "broken"

    recorder = Recorder(Broken())
    for _ in range(3):
        assert recorder.enter(record(), (b"traceparent", SAMPLED)) == [(b"traceparent", SAMPLED)]
    assert caplog.messages == ["CP563 a span cannot begin: ValueError('broken')"]


def test_an_exchange_that_never_had_a_span_has_none_to_end() -> None:
    recorder = Recorder()
    recorder.tracing.add(record())

    assert recorder.spans == ()


# --- who asks for spans ---


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({}, ""),
        ({"OTEL_SERVICE_NAME": "x"}, ""),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318"}, "otlp_proto_http"),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://c:4318/v1/traces"}, "otlp_proto_http"),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "  "}, ""),
        ({"OTEL_TRACES_EXPORTER": "otlp"}, "otlp_proto_http"),
        ({"OTEL_TRACES_EXPORTER": "none", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318"}, ""),
        ({"OTEL_TRACES_EXPORTER": "console"}, "console"),
        ({"OTEL_TRACES_EXPORTER": "otlp", "OTEL_SDK_DISABLED": "True"}, ""),
        ({"OTEL_TRACES_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, "otlp_proto_grpc"),
        (
            {"OTEL_TRACES_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": FULL},
            "otlp_proto_http",
        ),
        ({"OTEL_TRACES_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_PROTOCOL": "pigeon"}, "otlp with pigeon"),
    ],
)
def test_which_exporter_the_variables_name(variables: dict[str, str], expected: str) -> None:
    assert exporter_name(variables) == expected


def test_without_variables_nothing_is_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("opentelemetry")]:
        monkeypatch.setitem(sys.modules, name, None)

    assert start_tracing({}) is None


def test_an_extra_that_is_not_installed_is_told_of(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.resources", None)

    assert start_tracing({"OTEL_TRACES_EXPORTER": "otlp"}) is None
    assert caplog.messages == ["CP562 the variables OTEL_* ask for spans, and the extra `otel` is not installed"]


def test_an_exporter_that_is_not_installed_is_told_of(caplog: pytest.LogCaptureFixture) -> None:
    assert start_tracing({"OTEL_TRACES_EXPORTER": "pigeon"}) is None
    assert caplog.messages == ["CP562 the variables OTEL_* ask for the exporter pigeon, which is not installed"]


def test_an_exporter_that_cannot_begin_is_told_of(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setenv("OTEL_BSP_MAX_QUEUE_SIZE", "0")

    assert start_tracing({"OTEL_TRACES_EXPORTER": "otlp"}) is None
    (message,) = caplog.messages
    assert message.startswith("CP562 the exporter otlp_proto_http cannot begin: ")


# --- to a collector ---


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[Collector]:
    with collecting() as made:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", made.endpoint)
        yield made


def started() -> Tracing:
    tracing = start_tracing()
    assert tracing is not None
    return tracing


async def test_a_collector_gets_spans_by_otlp(collector: Collector, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment=test")
    tracing = started()
    made = forwarded()
    tracing.enter(RequestHead(b"GET", b"/", 1, ((b"traceparent", SAMPLED),)), made)
    tracing.add(made)
    await tracing.close()
    await tracing.close()

    (resource,) = collector.requests[0].resource_spans
    said = {each.key: each.value.string_value for each in resource.resource.attributes}
    (scope,) = resource.scope_spans
    (span,) = scope.spans
    assert (said["service.name"], said["service.version"], said["deployment.environment"]) == ("corsproxy", __version__, "test")
    assert (scope.scope.name, span.name, span.kind) == ("corsproxy", "GET", 2)
    assert (span.trace_id.hex().encode(), span.parent_span_id.hex().encode()) == (TRACE, PARENT)
    assert "hunter2" not in str(collector.requests)


async def test_the_service_has_the_name_that_the_variables_give(collector: Collector, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_SERVICE_NAME", "orders-edge")
    tracing = started()
    made = record()
    tracing.enter(RequestHead(b"GET", b"/", 1, ()), made)
    tracing.add(made)
    await tracing.close()

    said = {each.key: each.value.string_value for each in collector.requests[0].resource_spans[0].resource.attributes}
    assert said["service.name"] == "orders-edge"


async def test_the_end_does_not_wait_for_a_collector_that_stalls(collector: Collector) -> None:
    collector.may_answer.clear()
    tracing = started()
    made = record()
    tracing.enter(RequestHead(b"GET", b"/", 1, ()), made)
    tracing.add(made)
    async with asyncio.timeout(15):
        await tracing.close(0.01)
    assert collector.requests == []


async def test_a_collector_that_refuses_is_told_of(collector: Collector, caplog: pytest.LogCaptureFixture) -> None:
    collector.status = 400
    tracing = started()
    made = record()
    tracing.enter(RequestHead(b"GET", b"/", 1, ()), made)
    tracing.add(made)
    await tracing.close()

    assert [message for message in caplog.messages if message.startswith("CP563 ") and "400" in message]
