"""What Prometheus reads: judged by its own library's parsers, and by the rules that promtool checks."""

import math
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client import parser as text_parser
from prometheus_client.metrics_core import Metric
from prometheus_client.openmetrics import parser as openmetrics_parser

from corsproxy import problems
from corsproxy.cors.decide import Decision, Kind, Reason
from corsproxy.observe import figures, metrics
from corsproxy.observe.counters import Counters
from corsproxy.observe.figures import DURATION_BOUNDS, FIGURES, Type
from corsproxy.observe.metrics import of_process, render
from corsproxy.observe.snapshot import Snapshot
from corsproxy.record import ExchangeRecord

OPENMETRICS = "application/openmetrics-text;version=1.0.0"
# > Metric names … must have a (single-word) application prefix … must have a suffix describing the unit, in plural form
# > (prometheus.io/docs/practices/naming); and what promtool's linter knows of units that are none of the base ones.
NAME = re.compile("[a-z][a-z0-9]*(_[a-z0-9]+)*")
WRONG_UNITS = re.compile(
    "(^|_)(millis|milli|micro|nano|ms|minutes|hours|kilobytes|megabytes|bits|percent|count|counter|gauge|histogram)(_|$)"
)


def everything() -> Snapshot:
    """A snapshot that has every figure of the table, in every label that exchanges lead to."""
    counters = Counters()
    for kind in Kind:
        for reason in Reason:
            for refused in (True, False):
                for status in (0, 101, 200, 304, 403, 502):
                    decision = Decision(kind, reason, refused=refused)
                    counters.add(
                        ExchangeRecord(0, 1.0, b"GET", b"/", "", status=status, decision=decision, head=1.1, ended=1.2, sent=1, received=2)
                    )
    for problem in problems.catalogue().values():
        counters.add(ExchangeRecord(0, 1.0, b"GET", b"/", "", status=problem.status, problem=problem, ended=9.0, retries=1))
    snapshot = counters.snapshot()
    rest = {
        name: {tuple("x" for _ in figure.labels): (2.0,)}
        for name, figure in FIGURES.items()
        if name not in snapshot.values and not figure.of_system
    }
    return snapshot + Snapshot(rest)


def parsed(snapshot: Snapshot, accept: str) -> list[Metric]:
    body, _ = render(snapshot, accept)
    parser = openmetrics_parser if accept else text_parser
    return list(parser.text_string_to_metric_families(body.decode()))


def lint(body: str) -> Iterator[str]:
    """Say what promtool would of the text format."""
    described: dict[str, dict[str, str]] = {"HELP": {}, "TYPE": {}}
    seen: set[str] = set()
    for line in body.splitlines():
        if line.startswith("# "):
            _, word, name, rest = line.split(" ", 3)
            if name in described[word]:
                yield f"{name}: two {word} lines"
            described[word][name] = rest
            continue
        series = line.rpartition(" ")[0]
        if series in seen:
            yield f"{series}: there twice"
        seen.add(series)
        name = re.split("[{ ]", line, maxsplit=1)[0]
        family = name if name in described["TYPE"] else re.sub("_(bucket|sum|count)$", "", name)
        kind = described["TYPE"].get(family)
        if not described["HELP"].get(family) or kind is None:
            yield f"{name}: no HELP or TYPE before it"
        if (kind == "counter") != family.endswith("_total"):
            yield f"{name}: {kind}, and its name says something else"
        if NAME.fullmatch(family) is None or WRONG_UNITS.search(family):
            yield f"{name}: not a good name"
    if set(described["HELP"]) != set(described["TYPE"]):
        yield "HELP and TYPE are not of the same names"


@pytest.mark.parametrize("accept", ["", OPENMETRICS])
def test_every_figure_is_there_with_its_type_its_help_and_its_labels(accept: str) -> None:
    found = {metric.name: metric for metric in parsed(everything(), accept)}
    for name, figure in FIGURES.items():
        if figure.of_system:
            continue
        family = name.removesuffix("_total") if figure.type is Type.COUNTER else name
        if figure.type is Type.INFO and accept:
            family = name.removesuffix("_info")
        metric = found.pop(family)
        assert metric.documentation == figure.doc
        assert metric.type == ("gauge" if figure.type is Type.INFO and not accept else figure.type.value)
        for sample in metric.samples:
            assert {label for label in sample.labels if label != "le"} == set(figure.labels), sample
    assert {name for name in found if not name.startswith(("process_",))} == set()


def test_a_linter_finds_nothing() -> None:
    body = render(everything() + Snapshot(processes=(os.getpid(),)), "")[0].decode()

    assert list(lint(body)) == []
    assert body.count("\n") > 100


@pytest.mark.parametrize(
    "line",
    [
        "a_total 1",
        "# HELP b_count x\n# TYPE b_count gauge\nb_count 1",
        "# HELP c x\n# TYPE c counter\nc 1",
        "# HELP d x\n# TYPE d gauge\nd 1\nd 2",
    ],
)
def test_the_linter_finds_what_is_wrong(line: str) -> None:
    assert list(lint(line)) != []


@pytest.mark.parametrize("accept", ["", OPENMETRICS])
def test_a_histogram_is_cumulative_and_ends_in_its_count(accept: str) -> None:
    counters = Counters()
    for seconds in (0.001, 0.005, 0.02, 0.02, 3.0, 100.0):
        decision = Decision(Kind.ACTUAL, Reason.ORIGIN_ALLOWED, granted=True)
        counters.add(ExchangeRecord(0, 100.0, b"GET", b"/", "", status=200, decision=decision, ended=100.0 + seconds))
    (metric,) = [each for each in parsed(counters.snapshot(), accept) if each.name == figures.DURATION]
    buckets = {float(each.labels["le"]): each.value for each in metric.samples if each.name.endswith("_bucket")}

    assert tuple(buckets) == (*DURATION_BOUNDS, math.inf)
    assert list(buckets.values()) == [2, 2, 4, 4, 4, 4, 4, 4, 4, 4, 4, 5, 5, 5, 6]
    assert {each.name: each.value for each in metric.samples if not each.name.endswith("_bucket")} == {
        f"{figures.DURATION}_count": 6,
        f"{figures.DURATION}_sum": pytest.approx(103.046),
    }


def test_the_bounds_are_those_of_opentelemetry() -> None:
    assert DURATION_BOUNDS == (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10)


# --- processes ---

LINUX = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="only Linux tells of processes")


@LINUX
def test_every_figure_of_the_system_is_one_that_it_tells() -> None:
    found = of_process(os.getpid())

    assert set(found.values) == {name for name, figure in FIGURES.items() if figure.of_system}
    assert found.number("process_open_fds") == pytest.approx(len(list(Path("/proc/self/fd").iterdir())), abs=2)


@LINUX
def test_processes_are_added_up_and_the_first_start_counts() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
        one, two = of_process(os.getpid()), of_process(other.pid)
        found = {
            sample.name: sample.value for metric in parsed(Snapshot(processes=(os.getpid(), other.pid)), "") for sample in metric.samples
        }
        other.communicate()
    assert found["process_max_fds"] == one.number("process_max_fds") + two.number("process_max_fds")
    assert found["process_resident_memory_bytes"] > one.number("process_resident_memory_bytes") / 2
    assert found["process_start_time_seconds"] == min(one.number("process_start_time_seconds"), two.number("process_start_time_seconds"))


@LINUX
def test_a_process_that_is_gone_is_nothing() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        ended.wait(30)
    assert of_process(ended.pid) == Snapshot()


@LINUX
def test_a_limit_that_is_no_number_costs_no_scrape(monkeypatch: pytest.MonkeyPatch) -> None:
    from prometheus_client.process_collector import ProcessCollector  # noqa: PLC0415

    def refuse(_: object) -> list[Metric]:
        raise ValueError("could not convert string to float: b'unlimited'")

    monkeypatch.setattr(ProcessCollector, "collect", refuse)

    assert of_process(os.getpid()) == Snapshot()
    assert render(Snapshot(processes=(os.getpid(),)), "")[0] == b""


def test_the_library_is_loaded_at_the_first_scrape_only() -> None:
    program = f"import sys; import corsproxy.app, {metrics.__name__}; print(*[each for each in sys.modules if 'prometheus' in each])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=True)

    assert done.stdout.strip() == ""
