"""What one process has counted, as plain data, and how the counts of many processes become one.

A worker sends its snapshot through the control channel; the supervisor adds them up and answers `/metrics`. So a
snapshot is made of dicts, lists, strings and numbers only (msgpack and JSON carry it), it is *cumulative*, and it
describes itself: the supervisor never imports the code that counted.

    {"http_server_request_duration_seconds": {
        "kind": "histogram", "help": "…", "labels": ["http_route", …], "bounds": [0.005, …], "combine": "sum",
        "series": [[["/products", …], [sum, n0, n1, …]], …]}}

A counter's or gauge's value is a number; a histogram's is its sum followed by the count of each bucket (not
cumulative, the last one is +Inf); a summary's is its sum and its count. A histogram may have `exemplars`: for a series
and the number of a bucket, one observation that fell into it, with its trace.

`merge` is associative and commutative (exactly for whole numbers, up to rounding for fractions), so it doesn't matter
in which order workers report, nor that the dead are added up before the living. Two workers of different versions may
describe one name differently while a rolling restart is under way: the greater description wins and the other's
series are left out, because Prometheus refuses a family that comes in two shapes.

Rejected: the files that prometheus_client's multiprocess mode keeps in a shared directory. They grow with each process
that ever ran, and a read-only root file system has no place for them.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import Any, Literal, NotRequired, TypeAlias, TypedDict

__all__ = ["Aggregate", "Combine", "Exemplar", "Family", "Kind", "Snapshot", "Value", "family", "merge"]

Kind: TypeAlias = Literal["counter", "gauge", "histogram", "summary"]
Combine: TypeAlias = Literal["sum", "max", "min"]
Value: TypeAlias = float | list[float]


Exemplar: TypeAlias = list[Any]
"""Trace id, span id, value, time as Unix seconds."""


class Family(TypedDict):
    """All series of one name."""

    kind: Kind
    help: str
    labels: list[str]
    bounds: list[float]
    combine: Combine
    series: list[tuple[list[str], Value]]
    exemplars: NotRequired[list[tuple[list[str], int, Exemplar]]]


Snapshot: TypeAlias = dict[str, Family]


def family(
    kind: Kind,
    help: str,
    series: Iterable[tuple[Iterable[str], Value]],
    *,
    labels: Iterable[str] = (),
    bounds: Iterable[float] = (),
    combine: Combine = "sum",
) -> Family:
    """One family from its series, each as (label values, value)."""
    return {
        "kind": kind,
        "help": help,
        "labels": list(labels),
        "bounds": list(bounds),
        "combine": combine,
        "series": [(list(values), value) for values, value in series],
    }


def merge(snapshots: Iterable[Snapshot]) -> Snapshot:
    """The sum of all snapshots; gauges are combined as they ask for. The arguments are left as they are."""
    gathered: dict[str, list[Family]] = {}
    for snapshot in snapshots:
        for name, one in snapshot.items():
            gathered.setdefault(name, []).append(one)
    return {name: _merge_families(gathered[name]) for name in sorted(gathered)}


def _merge_families(families: list[Family]) -> Family:
    shape = max(map(_shape, families))
    alike = [one for one in families if _shape(one) == shape]
    combine = alike[0]["combine"]
    values: dict[tuple[str, ...], Value] = {}
    for one in alike:
        for labels, value in one["series"]:
            key = tuple(labels)
            values[key] = _combine(values[key], value, combine) if key in values else value
    merged = family(
        alike[0]["kind"],
        max(one["help"] for one in alike),
        [(key, values[key]) for key in sorted(values)],
        labels=alike[0]["labels"],
        bounds=alike[0]["bounds"],
        combine=combine,
    )
    exemplars = _newest(exemplar for one in alike for exemplar in one.get("exemplars", ()))
    if exemplars:
        merged["exemplars"] = exemplars
    return merged


def _newest(exemplars: Iterable[tuple[list[str], int, Exemplar]]) -> list[tuple[list[str], int, Exemplar]]:
    newest: dict[tuple[tuple[str, ...], int], Exemplar] = {}
    for labels, bucket, exemplar in exemplars:
        known = newest.get((tuple(labels), bucket))
        if known is None or known[3] < exemplar[3]:
            newest[tuple(labels), bucket] = exemplar
    return [(list(labels), bucket, newest[labels, bucket]) for labels, bucket in sorted(newest)]


def _shape(one: Family) -> tuple[Any, ...]:
    return one["kind"], tuple(one["labels"]), tuple(one["bounds"]), one["combine"]


def _combine(left: Value, right: Value, combine: Combine) -> Value:
    if isinstance(left, list) and isinstance(right, list):
        return [a + b for a, b in zip(left, right, strict=True)]
    assert not isinstance(left, list)
    assert not isinstance(right, list)
    if combine == "max":
        return max(left, right)
    if combine == "min":
        return min(left, right)
    return left + right


class Aggregate:
    """The counts of a pod: the newest snapshot of each living worker, and the total of those that are gone.

    A worker is known by a key that is never used twice (its pid and start, or a running number, not its place among
    the workers): what a dead worker had counted stays in the sum, so that a counter never goes down. What it counted
    after its last snapshot is lost with it. Gauges die with their worker.
    """

    def __init__(self) -> None:
        self._living: dict[Hashable, Snapshot] = {}
        self._retired: Snapshot = {}

    def update(self, key: Hashable, snapshot: Snapshot) -> None:
        """Take a worker's newest snapshot in place of its last one."""
        self._living[key] = snapshot

    def retire(self, key: Hashable) -> None:
        """The worker has ended: keep its counters. A key that never reported is no error."""
        last = self._living.pop(key, {})
        counters = {name: one for name, one in last.items() if one["kind"] != "gauge"}
        self._retired = merge([self._retired, counters])

    def merged(self) -> Snapshot:
        """The sum over the living and the dead."""
        return merge([self._retired, *self._living.values()])
