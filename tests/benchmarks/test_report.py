"""benchmarks.report: medians, ratios, table."""

from __future__ import annotations

import json

import pytest

from benchmarks import report
from benchmarks.loaders import Sample
from benchmarks.report import CPU, RATE, Samples
from benchmarks.servers import Peer
from benchmarks.workloads import BY_NAME


def _peer(name: str) -> Peer:
    return Peer(name, name.title(), (), ("plaintext", "json"), lambda port: None)


SAMPLES: Samples = {
    ("sanic", "plaintext"): [Sample(100, 0.5, per_cpu_second=200), Sample(900, 0.5, per_cpu_second=220), Sample(110, 0.5)],
    ("fast", "plaintext"): [Sample(1650, 0.99, per_cpu_second=2_100)],
    ("fast", "json"): [Sample(7, 0.5)],
    ("broken", "plaintext"): [],
}


def test_one_disturbed_round_does_not_count() -> None:
    """The median of the rounds is what is compared."""
    assert report.middle(SAMPLES["sanic", "plaintext"], RATE) == 110
    assert report.ratio(SAMPLES, "fast", "plaintext", "sanic", RATE) == 15.0
    assert report.ratio(SAMPLES, "fast", "plaintext", "sanic", CPU) == 10.0


@pytest.mark.parametrize(("peer", "workload"), [("fast", "json"), ("broken", "plaintext"), ("unknown", "plaintext")])
def test_without_both_there_is_no_ratio(peer: str, workload: str) -> None:
    """What was not measured, or has no reference, is left open."""
    assert report.ratio(SAMPLES, peer, workload, "sanic", RATE) is None


def test_the_table() -> None:
    """A line for each server; `>` where the loader was the limit, `-` where there is nothing."""
    peers = [_peer("fast"), _peer("sanic"), _peer("broken")]
    text = report.table(peers, [BY_NAME["plaintext"], BY_NAME["json"]], SAMPLES, "sanic", RATE)
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines()]
    assert cells == [
        ["per second, ratio to Sanic", "plaintext", "JSON"],
        ["---", "---:", "---:"],
        ["Fast", "> 15.0", "-"],
        ["Sanic", "1.00", "-"],
        ["Broken", "-", "-"],
        ["Sanic itself", "110", "-"],
    ]


def test_the_document_holds_every_sample() -> None:
    """The JSON says what was measured, with what, and on what."""
    document = json.loads(json.dumps(report.document(SAMPLES, "sanic", {"rounds": 3, "machine": report.machine()})))
    assert document["reference"] == "sanic"
    assert document["machine"]["cpus"] >= 1
    (fast,) = [row for row in document["results"] if (row["server"], row["workload"]) == ("fast", "plaintext")]
    assert fast["ratio"] == 15.0
    assert fast["cpu_ratio"] == 10.0
    assert fast["samples"][0]["load_cpu"] == 0.99
    assert not [row for row in document["results"] if row["server"] == "broken"]
