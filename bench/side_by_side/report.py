"""The figures of a run as a Markdown table and as a picture."""

import platform
import statistics
from collections.abc import Sequence
from datetime import UTC, datetime
from html import escape
from pathlib import Path
from typing import Final

from bench.side_by_side.measure import SCENARIOS, Row

BASE: Final = "nginx"
# With an access log, which is compared with nginx's.
_LOG: Final = "-log"
_BAR: Final = 22
_LEFT, _RIGHT, _TOP = 150, 90, 56


def median(rows: Sequence[Row], name: str, scenario: str) -> float | None:
    """Return the middle of what was measured, None without a measurement."""
    found = [row.cost for row in rows if (row.name, row.scenario) == (name, scenario)]
    return statistics.median(found) if found else None


def machine() -> str:
    """Say when and where this was measured."""
    cpu = next(
        (line.partition(":")[2].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")), ""
    )
    return f"{datetime.now(UTC):%Y-%m-%d}, {cpu or platform.machine()}, Linux {platform.release().split('-')[0]}, Python {platform.python_version()}"


def table(rows: Sequence[Row], scenarios: Sequence[str], rounds: int) -> str:
    """Write the medians, and each as a ratio to nginx in the same run."""
    names = list(dict.fromkeys(row.name for row in rows))
    units = ["s/GiB" if SCENARIOS[scenario].per_gib else "µs" for scenario in scenarios]
    lines = [
        f"Processor time for each request, medians of {rounds} rounds, and the ratio to {BASE} in the same run, with a log to {BASE} with one. {machine()}.",
        "",
        "| | " + " | ".join(f"{scenario}, {unit}" for scenario, unit in zip(scenarios, units, strict=True)) + " | RSS, MiB |",
        "|---" * (len(scenarios) + 2) + "|",
    ]
    for name in names:
        cells = [_cell(rows, name, scenario) for scenario in scenarios]
        rss = max(row.rss_mib for row in rows if row.name == name)
        lines.append(f"| {name} | " + " | ".join(cells) + f" | {rss:.0f} |")
    return "\n".join(lines) + "\n"


def _cell(rows: Sequence[Row], name: str, scenario: str) -> str:
    cost, base = median(rows, name, scenario), None
    if name.endswith(_LOG) and name != BASE + _LOG:
        base = median(rows, BASE + _LOG, scenario)
    base = base or median(rows, BASE, scenario)
    if cost is None:
        return "-"
    shown = f"{cost:.2f}" if SCENARIOS[scenario].per_gib else f"{cost:.1f}"
    return shown if base is None or name == BASE else f"{shown} ({cost / base:.2f} x)"


def picture(rows: Sequence[Row], scenario: str) -> str:
    """Draw one scenario as bars, the cheapest on top: an SVG that reads on light and on dark."""
    costs = sorted((cost, name) for name in dict.fromkeys(row.name for row in rows) if (cost := median(rows, name, scenario)) is not None)
    most, base = max(cost for cost, _ in costs), median(rows, BASE, scenario)
    width, height = 720, _TOP + len(costs) * (_BAR + 8) + 34
    scale = (width - _LEFT - _RIGHT) / most
    bars = []
    for place, (cost, name) in enumerate(costs):
        y = _TOP + place * (_BAR + 8)
        middle = y + _BAR * 0.7
        kind = "own" if name.startswith("corsproxy") else "other"
        ratio = f" ({cost / base:.2f} x)" if base and name != BASE else ""
        bars.append(
            f'<text class="name" x="{_LEFT - 8}" y="{middle:.0f}">{escape(name)}</text>'
            f'<rect class="{kind}" x="{_LEFT}" y="{y}" width="{max(1.0, cost * scale):.0f}" height="{_BAR}" rx="3"/>'
            f'<text x="{_LEFT + cost * scale + 6:.0f}" y="{middle:.0f}">{cost:.0f} µs{ratio}</text>'
        )
    style = (
        "text{font:13px system-ui,sans-serif;fill:#24292f}.name{text-anchor:end}.title{font-weight:600;font-size:15px}.small{font-size:11px;fill:#57606a}"
        ".own{fill:#1a7f64}.other{fill:#8c959f}@media(prefers-color-scheme:dark){text{fill:#e6edf3}.small{fill:#9198a1}.own{fill:#3fb68b}.other{fill:#6e7681}}"
    )
    title = f"Processor time of the proxy for each request ({scenario})"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" aria-label="{escape(title)}"><style>{style}</style>'
        f'<text class="title" x="12" y="24">{escape(title)}</text><text class="small" x="12" y="42">shorter is better; in brackets the ratio to {BASE}</text>'
        f'{"".join(bars)}<text class="small" x="12" y="{height - 10}">{escape(machine())}; make bench</text></svg>\n'
    )
