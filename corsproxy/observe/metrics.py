"""
A snapshot as Prometheus reads it.

The library that knows the formats is loaded when somebody scrapes: it costs a start 10 ms, and whoever never scrapes pays nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import accumulate
from typing import TYPE_CHECKING

from corsproxy.observe.figures import DURATION_BOUNDS, FIGURES, Figure, Type
from corsproxy.observe.snapshot import Labels, Snapshot, Value, total

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric
    from prometheus_client.registry import Collector


def render(snapshot: Snapshot, accept: str) -> tuple[bytes, str]:
    """Write a snapshot in the format that an Accept field asks for; returns it with its media type."""
    from prometheus_client.exposition import choose_encoder  # noqa: PLC0415 - see above
    from prometheus_client.registry import CollectorRegistry  # noqa: PLC0415

    registry = CollectorRegistry(auto_describe=False)
    registry.register(_collector(snapshot))
    try:
        encode, content_type = choose_encoder(accept)
    except (ValueError, TypeError):  # a version that is none
        encode, content_type = choose_encoder("")
    return encode(registry), content_type


def _collector(snapshot: Snapshot) -> Collector:
    from prometheus_client.registry import Collector  # noqa: PLC0415

    class Collected(Collector):
        def collect(self) -> Iterable[Metric]:
            return families(snapshot + total(map(of_process, snapshot.processes)))

    return Collected()


def families(snapshot: Snapshot) -> Iterator[Metric]:
    """Make the library's metrics of a snapshot: those of the table that it has, in the table's order."""
    for name, figure in FIGURES.items():
        if name in snapshot.values:
            yield _family(figure, snapshot.values[name])


def _family(figure: Figure, found: Mapping[Labels, Value]) -> Metric:
    from prometheus_client import metrics_core as core  # noqa: PLC0415

    match figure.type:
        case Type.COUNTER:
            counter = core.CounterMetricFamily(figure.name, figure.doc, labels=figure.labels)
            for labels, value in found.items():
                counter.add_metric(labels, value[0])
            return counter
        case Type.GAUGE:
            gauge = core.GaugeMetricFamily(figure.name, figure.doc, labels=figure.labels)
            for labels, value in found.items():
                gauge.add_metric(labels, value[0])
            return gauge
        case Type.HISTOGRAM:
            histogram = core.HistogramMetricFamily(figure.name, figure.doc, labels=figure.labels)
            for labels, value in found.items():
                histogram.add_metric(labels, _cumulative(value[:-1]), value[-1])
            return histogram
        case Type.INFO:
            info = core.InfoMetricFamily(figure.name.removesuffix("_info"), figure.doc)
            for labels in found:
                info.add_metric((), dict(zip(figure.labels, labels, strict=True)))
            return info


def _cumulative(counts: Iterable[float]) -> list[tuple[str, float]]:
    return list(zip([*map(str, DURATION_BOUNDS), "+Inf"], accumulate(counts), strict=True))


def of_process(process: int) -> Snapshot:
    """Return what the system knows of a process; nothing where it does not tell, or the process is gone."""
    from prometheus_client.process_collector import ProcessCollector  # noqa: PLC0415

    try:
        found = list(ProcessCollector(pid=lambda: process, registry=None).collect())
    except ValueError:  # a limit that is no number
        return Snapshot()
    samples = {sample.name: sample.value for metric in found for sample in metric.samples}
    return Snapshot({name: {(): (value,)} for name, value in samples.items() if name in FIGURES})
