"""fairlead.telemetry.snapshot: the counts of many processes become one."""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from fairlead.telemetry.snapshot import Aggregate, Combine, Snapshot, family, merge

NAMES = ["requests_total", "loop_lag_seconds", "duration_seconds", "size_bytes", "shapes"]
WHOLE = st.integers(0, 2**40)
LABELS = st.sampled_from(["/a", "/b", "/c"])


def _series(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.dictionaries(LABELS, values, max_size=3).map(lambda found: [([label], found[label]) for label in found])


@st.composite
def _snapshots(draw: st.DrawFn) -> Snapshot:
    lag_combine: Combine = "max"
    shape = draw(st.sampled_from([("route",), ("path",)]))
    families = {
        "requests_total": family("counter", "Requests.", draw(_series(WHOLE)), labels=["route"]),
        "loop_lag_seconds": family("gauge", "Lag.", draw(_series(WHOLE)), labels=["route"], combine=lag_combine),
        "oldest": family("gauge", "Oldest.", draw(_series(WHOLE)), labels=["route"], combine="min"),
        "duration_seconds": family(
            "histogram",
            draw(st.sampled_from(["Old words.", "New words."])),
            draw(_series(st.lists(WHOLE, min_size=4, max_size=4))),
            labels=["route"],
            bounds=[0.1, 1.0],
        ),
        "shapes": family("counter", "Changed between versions.", draw(_series(WHOLE)), labels=shape),
    }
    present = draw(st.sets(st.sampled_from(sorted(families))))
    return {name: families[name] for name in sorted(present)}


@settings(deadline=None)
@given(_snapshots(), _snapshots(), _snapshots())
def test_merging_does_not_depend_on_grouping(a: Snapshot, b: Snapshot, c: Snapshot) -> None:
    """merge is associative: the dead may be added up before the living (K10)."""
    assert merge([merge([a, b]), c]) == merge([a, merge([b, c])]) == merge([a, b, c])


@settings(deadline=None)
@given(_snapshots(), _snapshots())
def test_merging_does_not_depend_on_order(a: Snapshot, b: Snapshot) -> None:
    """merge is commutative: it doesn't matter which worker reports first."""
    assert merge([a, b]) == merge([b, a])


@settings(deadline=None)
@given(_snapshots())
def test_nothing_is_the_neutral_element(a: Snapshot) -> None:
    """Merging with an empty snapshot changes no number."""
    assert merge([a, {}]) == merge([a])


@settings(deadline=None)
@given(_snapshots(), _snapshots())
def test_a_snapshot_survives_the_control_channel(a: Snapshot, b: Snapshot) -> None:
    """What msgpack carried over merges as the original does."""
    sent = msgspec.msgpack.decode(msgspec.msgpack.encode(a))
    assert merge([sent, b]) == merge([a, b])


@settings(deadline=None)
@given(_snapshots(), _snapshots())
def test_the_arguments_stay_as_they_are(a: Snapshot, b: Snapshot) -> None:
    """merge changes none of its arguments: a worker's last snapshot is merged again at every scrape."""
    before = msgspec.msgpack.encode([a, b])
    merge([a, b])
    assert msgspec.msgpack.encode([a, b]) == before


def _counting(value: int) -> Snapshot:
    return {
        "requests_total": family("counter", "Requests.", [(["/a"], value)], labels=["route"]),
        "in_flight": family("gauge", "Now.", [((), value)]),
    }


def _total(snapshot: Snapshot) -> object:
    return [value for _, value in snapshot["requests_total"]["series"]]


def test_a_newer_snapshot_replaces_the_last_one() -> None:
    """Snapshots are cumulative: a worker that reports twice is not counted twice."""
    aggregate = Aggregate()
    aggregate.update("a", _counting(3))
    aggregate.update("a", _counting(5))
    assert _total(aggregate.merged()) == [5]


def test_a_dead_workers_counts_stay() -> None:
    """A counter never goes down when a worker is replaced, and its gauges are gone (K10)."""
    aggregate = Aggregate()
    aggregate.update("first", _counting(5))
    aggregate.update("second", _counting(2))
    aggregate.retire("first")
    aggregate.update("third", _counting(1))
    merged = aggregate.merged()
    assert _total(merged) == [8]
    assert merged["in_flight"]["series"] == [([], 3)]


def test_retiring_an_unknown_worker_is_no_error() -> None:
    """A worker that died before its first report leaves nothing behind."""
    aggregate = Aggregate()
    aggregate.retire("never seen")
    assert aggregate.merged() == {}


def test_a_family_in_two_shapes_is_kept_in_one() -> None:
    """While versions are mixed, one description of a name wins, whichever comes first: two would break the scrape."""
    old = {"x_total": family("counter", "", [(["1"], 1)], labels=["a"])}
    new = {"x_total": family("counter", "", [(["1"], 2)], labels=["b"])}
    assert merge([old, new]) == merge([new, old])
    assert merge([old, new])["x_total"]["labels"] == ["b"]
