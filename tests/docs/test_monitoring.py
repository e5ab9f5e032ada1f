"""The alerts, the dashboard and the page about metrics name what is there, and nothing else."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from corsproxy.cors.decide import Kind, Reason
from corsproxy.observe.counters import UNJUDGED
from corsproxy.observe.figures import FIGURES, Figure, Type
from corsproxy.observe.outcomes import UPSTREAM_FAILURES, Outcome

ROOT = Path(__file__).parents[2]
ALERTS = yaml.safe_load((ROOT / "deploy" / "prometheus-alerts.yaml").read_text())
DASHBOARD = json.loads((ROOT / "deploy" / "grafana-dashboard.json").read_text())
PAGE = (ROOT / "docs" / "operations.md").read_text()

# What a scrape puts on every series, and what a histogram has.
SCRAPED = {"job", "instance"}
SELECTOR = re.compile(r"\b((?:corsproxy|process)_[a-z_]+)\b(?:\{([^}]*)\})?")
MATCHER = re.compile(r'([a-z_]+)(=~|!=|!~|=)"([^"]*)"')
GROUPING = re.compile(r"\bby \(([^)]*)\)")
VALUES = {
    "kind": {*Kind, UNJUDGED},
    "decision": set(Outcome),
    "reason": {*Reason, *UPSTREAM_FAILURES.values()},
    "state": {"idle", "busy"},
    "outcome": {"success", "refused"},
}


def expressions(part: Any) -> Iterator[str]:
    """Find every query in a structure."""
    if isinstance(part, dict):
        for key, value in part.items():
            if key in ("expr", "query") and isinstance(value, str):
                yield value
            else:
                yield from expressions(value)
    elif isinstance(part, list):
        for item in part:
            yield from expressions(item)


def figure_of(name: str) -> Figure | None:
    figure = FIGURES.get(name)
    if figure is not None and figure.type is not Type.HISTOGRAM:
        return figure
    base = FIGURES.get(re.sub("_(bucket|count|sum)$", "", name))
    return base if base is not None and base.type is Type.HISTOGRAM and base.name != name else None


def faults(expression: str) -> Iterator[str]:
    known: set[str] = set()
    for name, matchers in SELECTOR.findall(expression):
        figure = figure_of(name)
        if figure is None:
            yield f"there is no metric {name}"
            continue
        labels = SCRAPED | set(figure.labels) | ({"le"} if name.endswith("_bucket") else set())
        known |= labels
        for label, _, value in MATCHER.findall(matchers):
            if label not in labels:
                yield f"{name} has no label {label}"
            elif label in VALUES and not set(value.split("|")) <= VALUES[label]:
                yield f"{label} is never {value}"
    for group in GROUPING.findall(expression):
        if not {label.strip() for label in group.split(",")} <= known:
            yield f"no metric of {expression} has all of {group}"


ALL = [*expressions(ALERTS), *expressions(DASHBOARD)]


@pytest.mark.parametrize("expression", ALL)
def test_queries_name_metrics_labels_and_values_that_exist(expression: str) -> None:
    assert list(faults(expression)) == []


@pytest.mark.parametrize(
    "wrong",
    [
        "corsproxy_request_total",
        "rate(corsproxy_request_duration_seconds[5m])",
        'corsproxy_requests_total{origin="https://a.example"}',
        'corsproxy_requests_total{kind="simple"}',
        'corsproxy_requests_total{decision=~"refused|denied"}',
        "sum by (path) (corsproxy_requests_total)",
        "sum by (le) (corsproxy_request_duration_seconds_sum)",
    ],
)
def test_what_does_not_exist_is_found(wrong: str) -> None:
    assert list(faults(wrong)) != []


def test_the_alerts_are_complete() -> None:
    rules = [rule for group in ALERTS["groups"] for rule in group["rules"]]

    assert len({rule["alert"] for rule in rules}) == len(rules) > 6
    for rule in rules:
        assert rule["alert"].startswith("Corsproxy")
        assert rule["labels"]["severity"] in ("critical", "warning", "info")
        assert set(rule["annotations"]) == {"summary", "description"}
        for name in re.findall(r"\$labels\.([a-z_]+)", str(rule["annotations"])):
            # What is aggregated has the labels that it is aggregated by.
            groups = GROUPING.findall(rule["expr"])
            assert all(name in re.split(", *", group) for group in groups), rule["alert"]


def test_the_dashboard_holds_together() -> None:
    panels = DASHBOARD["panels"]
    variables = {variable["name"] for variable in DASHBOARD["templating"]["list"]}

    assert len({panel["id"] for panel in panels}) == len(panels)
    assert {name for each in expressions(DASHBOARD) for name in re.findall(r"\$([a-z]+)\b", each)} <= variables
    for panel in panels:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        assert panel["type"] == "row" or panel["datasource"]["uid"] == "${datasource}"
        for target in panel.get("targets", ()):
            named = set(re.findall(r"\{\{([a-z_]+)\}\}", target["legendFormat"]))
            grouped = {label.strip() for group in GROUPING.findall(target["expr"]) for label in group.split(",")}
            assert named <= grouped, target
    cells = [
        (x, y)
        for place in (panel["gridPos"] for panel in panels)
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    assert len(set(cells)) == len(cells), "panels overlap"


def test_every_metric_of_ours_is_on_the_dashboard_but_for_what_says_the_same() -> None:
    shown = {
        figure.name for each in expressions(DASHBOARD) for name, _ in SELECTOR.findall(each) if (figure := figure_of(name)) is not None
    }

    assert {name for name in FIGURES if name.startswith("corsproxy_")} - shown == {
        "corsproxy_config_reloads_total",
        "corsproxy_tunnels_total",
    }


# --- the page ---


def table() -> str:
    """Write the table of metrics as the page has it."""
    rows = ["| metric | type | labels | |", "|---|---|---|---|"]
    rows += [
        f"| `{figure.name}` | {figure.type} | {', '.join(f'`{label}`' for label in figure.labels)} | {figure.doc} |".replace("|  |", "| |")
        for figure in FIGURES.values()
    ]
    return "\n".join(rows) + "\n"


def test_the_page_has_every_metric_as_it_is() -> None:
    # Copy what this shows, after a change of the table of metrics.
    assert table() in PAGE


@pytest.mark.parametrize("label", ["kind", "decision", "state", "outcome"])
def test_the_page_has_every_value_of_a_label(label: str) -> None:
    (row,) = [line for line in PAGE.splitlines() if line.startswith(f"| `{label}` |")]

    assert set(re.findall("`([^`]+)`", row)) - {label} >= VALUES[label]


def test_the_page_has_every_reason() -> None:
    for values in (set(Reason), set(UPSTREAM_FAILURES.values())):
        assert any(set(re.findall("`([^`]+)`", line)) >= values for line in PAGE.splitlines())
