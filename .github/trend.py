"""The page of trends: one chart for each workload, one line for each server, a point for each night.

    python .github/trend.py HISTORY PAGE

HISTORY holds a file of `make bench` for each day (`2026-11-20.json`), PAGE is the folder that index.html is written to.
Figures of shared machines drift, so what is drawn is the ratio to the reference of the same night.
"""

from __future__ import annotations

import html
import json
import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

WIDTH, HEIGHT, MARGIN = 720, 220, 36
COLOURS = ("#0b6bcb", "#c4320a", "#0a7d45", "#7a3fc4", "#946200", "#5f6b7a")

Night = tuple[str, float]
Lines = dict[str, list[Night]]

HEAD = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Fairlead: benchmark, night by night</title>
<style>
body { font: 16px/1.5 system-ui, sans-serif; max-width: 45rem; margin: 2rem auto; padding: 0 1rem }
svg { width: 100%; background: #fafafa; border: 1px solid #ddd }
text { font: 12px system-ui, sans-serif }
</style>
<h1>Benchmark, night by night</h1>
<p>Requests a second as a ratio to the reference of the same night: machines of a pipeline differ, ratios hold.</p>
"""


def read(folder: Path) -> dict[str, Lines]:
    """Workload → server → its nights in order."""
    found: dict[str, Lines] = defaultdict(lambda: defaultdict(list))
    for file in sorted(folder.glob("????-??-??.json")):
        document: Mapping[str, Any] = json.loads(file.read_text())
        for result in document["results"]:
            if result.get("ratio") is not None:
                found[result["workload"]][result["server"]].append((file.stem, float(result["ratio"])))
    return found


def chart(lines: Lines) -> str:
    """The lines of one workload as SVG, from ratio 0 up."""
    nights = sorted({night for line in lines.values() for night, _ in line})
    highest = max(ratio for line in lines.values() for _, ratio in line) or 1.0
    step = (WIDTH - 2 * MARGIN) / max(1, len(nights) - 1)

    def point(night: str, ratio: float) -> str:
        return f"{MARGIN + nights.index(night) * step:.1f},{HEIGHT - MARGIN - ratio / highest * (HEIGHT - 2 * MARGIN):.1f}"

    drawn = [f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="ratio over time">']
    drawn += [f'<text x="{MARGIN}" y="{HEIGHT - 12}">{nights[0]} to {nights[-1]}, highest ratio {highest:.2f}</text>']
    for number, (server, line) in enumerate(sorted(lines.items())):
        colour = COLOURS[number % len(COLOURS)]
        drawn.append(f'<polyline fill="none" stroke="{colour}" points="{" ".join(point(*night) for night in line)}"/>')
        drawn += [f'<circle fill="{colour}" r="2" {_centre(point(*night))}/>' for night in line]
        drawn.append(f'<text x="{MARGIN + 110 * number}" y="18" fill="{colour}">{html.escape(server)} {line[-1][1]:.2f}</text>')
    return "\n".join([*drawn, "</svg>"])


def _centre(point: str) -> str:
    x, y = point.split(",")
    return f'cx="{x}" cy="{y}"'


def page(workloads: Mapping[str, Lines]) -> str:
    """The whole page."""
    parts = [f"<h2>{html.escape(name)}</h2>\n{chart(lines)}" for name, lines in workloads.items()]
    return HEAD + "\n".join(parts or ["<p>No night yet.</p>"]) + "\n"


def main(arguments: Sequence[str]) -> int:
    """Writes the page; 2 when not called with two folders."""
    if len(arguments) != 2:
        sys.stderr.write("usage: trend.py HISTORY PAGE\n")
        return 2
    history, target = map(Path, arguments)
    target.mkdir(parents=True, exist_ok=True)
    (target / "index.html").write_text(page(read(history)))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
