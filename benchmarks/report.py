"""Medians and ratios, as a table for people and as JSON for machines."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.loaders import Sample
from benchmarks.servers import Peer
from benchmarks.workloads import Workload

Samples = dict[tuple[str, str], list[Sample]]
"""By (peer, workload)."""


@dataclass(frozen=True)
class Measure:
    """What is compared."""

    title: str
    of: Callable[[Sample], float | None]


RATE = Measure("per second", lambda sample: sample.per_second)
CPU = Measure("per CPU second", lambda sample: sample.per_cpu_second)


def middle(samples: list[Sample] | None, measure: Measure) -> float | None:
    """The median of the rounds."""
    values = [value for sample in samples or () if (value := measure.of(sample)) is not None]
    return median(values) if values else None


def ratio(samples: Samples, peer: str, workload: str, reference: str, measure: Measure) -> float | None:
    """How many times the reference's; None where one of the two has none."""
    own, other = middle(samples.get((peer, workload)), measure), middle(samples.get((reference, workload)), measure)
    return own / other if own is not None and other else None


def table(peers: list[Peer], workloads: list[Workload], samples: Samples, reference: str, measure: Measure) -> str:
    """A Markdown table: a line for each peer, a column for each workload, ratios to the reference.

    `>` marks a rate that the loader could not exceed, `-` what a peer doesn't do or failed at.
    """
    known = {peer.name: peer for peer in peers}
    title = known[reference].title if reference in known else reference
    header = [f"{measure.title}, ratio to {title}", *(workload.title for workload in workloads)]
    lines = [header, ["---", *("---:" for _ in workloads)]]
    lines += [[peer.title, *(_cell(samples, peer.name, w.name, reference, measure) for w in workloads)] for peer in peers]
    absolute = [middle(samples.get((reference, workload.name)), measure) for workload in workloads]
    lines.append([f"{title} itself", *("-" if value is None else f"{value:,.0f}" for value in absolute)])
    widths = [max(len(line[column]) for line in lines) for column in range(len(header))]
    return "\n".join(_row(line, widths) for line in lines)


def _row(line: list[str], widths: list[int]) -> str:
    cells = [line[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(line[1:], widths[1:], strict=True))]
    return f"| {' | '.join(cells)} |"


def _cell(samples: Samples, peer: str, workload: str, reference: str, measure: Measure) -> str:
    found = ratio(samples, peer, workload, reference, measure)
    if found is None:
        return "-"
    is_bound = measure is RATE and any(sample.is_saturated for sample in samples[peer, workload])
    return f"{'> ' if is_bound else ''}{found:.{1 if found >= 10 else 2}f}"


def machine() -> dict[str, Any]:
    """What the numbers depend on."""
    return {
        "cpu": _cpu_model(),
        "cpus": len(os.sched_getaffinity(0)),
        "kernel": platform.release(),
        "load_average": os.getloadavg()[0],
    }


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def document(samples: Samples, reference: str, facts: dict[str, Any]) -> dict[str, Any]:
    """Everything that was measured, for a file."""
    results = [
        {
            "server": peer,
            "workload": workload,
            "per_second": middle(found, RATE),
            "ratio": ratio(samples, peer, workload, reference, RATE),
            "per_cpu_second": middle(found, CPU),
            "cpu_ratio": ratio(samples, peer, workload, reference, CPU),
            "samples": [asdict(sample) for sample in found],
        }
        for (peer, workload), found in samples.items()
        if found
    ]
    return {"reference": reference, **facts, "results": results}
