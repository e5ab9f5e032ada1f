"""The command sends spans where OpenTelemetry's variables say so."""

import signal
from pathlib import Path

from tests.cli.test_run import ask, running
from tests.collector import collecting

POLICY = ("--upstream", "http://127.0.0.1:1", "--allow-origin", "https://app.example.com", "--listen", "127.0.0.1:0")


def test_spans_arrive_at_the_latest_at_the_end(tmp_path: Path) -> None:
    with collecting() as collector:
        with running(*POLICY, cwd=tmp_path, OTEL_EXPORTER_OTLP_ENDPOINT=collector.endpoint) as (process, port):
            ask(port, "GET", "/orders?token=hunter2", {"Authorization": "Bearer hunter2", "Cookie": "sid=hunter2"})
            process.send_signal(signal.SIGTERM)
            assert process.wait(15) == 0
        (span,) = collector.spans

        said = {each.key: each.value for each in span.attributes}
        assert (span.name, said["http.response.status_code"].int_value, said["error.type"].string_value) == (
            "GET",
            502,
            "connection_refused",
        )
        assert "hunter2" not in str(collector.requests)
