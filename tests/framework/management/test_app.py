"""The management app through its own server (missions K1, K10)."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest

from fairlead.management.app import build_management_app
from fairlead.management.fleet import FleetStatus, WorkerStatus
from fairlead.telemetry.metrics import Snapshot
from fairlead.testing import AsyncTestClient
from fairlead.workers.messages import CheckResult, RestartCause, WorkerState

SICK = CheckResult("database", "readiness", critical=True, error="connection refused")


class Fleet:
    """One worker whose state the test sets."""

    def __init__(self) -> None:
        self.worker = WorkerStatus(
            0, WorkerState.READY, 7, 2, silent_s=0.25, uptime_s=60.0, checks=(), restart_causes={RestartCause.DIED: 2}
        )
        self.draining = False

    def status(self) -> FleetStatus:
        """As it was set."""
        return FleetStatus("shop", self.draining, 30.0, 60.0, (self.worker,))

    async def metrics(self) -> Snapshot:
        """One counter of the service's own."""
        return {
            "orders_total": {
                "kind": "counter",
                "help": "Orders.",
                "labels": [],
                "bounds": [],
                "combine": "sum",
                "series": [([], 3)],
            }
        }


@pytest.fixture
def fleet() -> Fleet:
    """A fleet that is well."""
    return Fleet()


@pytest.fixture
async def client(fleet: Fleet) -> AsyncIterator[httpx.AsyncClient]:
    """A client of its management app."""
    async with AsyncTestClient(build_management_app(fleet)) as client:
        yield client


@pytest.mark.parametrize("probe", ["startupz", "livez", "readyz"])
async def test_a_probe_is_a_word(client: httpx.AsyncClient, probe: str) -> None:
    """K1: short and plain, never from a cache; HEAD works too."""
    response = await client.get(f"/{probe}")
    assert (response.status_code, response.text) == (200, "ok\n")
    assert response.headers["content-type"].startswith("text/plain")
    assert response.headers["cache-control"] == "no-store"
    assert (await client.head(f"/{probe}")).status_code == 200


async def test_a_refusal_is_503_with_its_reason(client: httpx.AsyncClient, fleet: Fleet) -> None:
    """K1: `kubectl describe` shows the body."""
    fleet.draining = True
    response = await client.get("/readyz")
    assert (response.status_code, response.text) == (503, "draining\n")
    assert (await client.get("/livez")).status_code == 200


@pytest.mark.parametrize(("query", "accept"), [("?verbose", "*/*"), ("?verbose=1", "*/*"), ("", "application/json")])
async def test_detail_is_json_on_request(client: httpx.AsyncClient, fleet: Fleet, query: str, accept: str) -> None:
    """K1: every worker with its state, beat and checks."""
    fleet.worker = WorkerStatus(0, WorkerState.READY, pid=7, restarts=2, silent_s=0.25, checks=(SICK,))
    response = await client.get(f"/readyz{query}", headers={"accept": accept})
    assert response.status_code == 503
    assert response.headers["content-type"] == "application/json"
    document = response.json()
    assert (document["ok"], document["reason"], document["name"]) == (False, "database: connection refused", "shop")
    worker = document["workers"][0]
    assert (worker["state"], worker["pid"], worker["restarts"]) == ("ready", 7, 2)
    assert worker["checks"] == [{"name": "database", "kind": "readiness", "critical": True, "error": "connection refused"}]


async def test_metrics_are_the_services_and_the_workers(client: httpx.AsyncClient) -> None:
    """K10: one page for both, in Prometheus' text format."""
    response = await client.get("/metrics")
    assert response.status_code == 200
    assert response.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    lines = response.text.splitlines()
    for line in (
        "orders_total 3",
        'fairlead_workers{state="ready"} 1',
        'fairlead_workers{state="failed"} 0',
        'fairlead_worker_restarts_total{worker="0",cause="died"} 2',
        'fairlead_worker_silence_seconds{worker="0"} 0.25',
        "fairlead_draining 0",
    ):
        assert line in lines


async def test_openmetrics_is_served_to_whoever_asks(client: httpx.AsyncClient) -> None:
    """K10: Prometheus prefers it."""
    response = await client.get("/metrics", headers={"accept": "application/openmetrics-text; version=1.0.0"})
    assert response.headers["content-type"].startswith("application/openmetrics-text")
    assert response.text.endswith("# EOF\n")


async def test_anything_else_is_not_here(client: httpx.AsyncClient) -> None:
    """The port has four paths, and they are read only."""
    assert (await client.get("/")).status_code == 404
    assert (await client.post("/readyz")).status_code == 405


class Operator:
    """Keeps what it was asked for; refuses to run 13 workers."""

    def __init__(self) -> None:
        self.wishes: list[object] = []

    async def reload(self, cause: str) -> str:
        """Done."""
        self.wishes.append("reload")
        return ""

    async def scale(self, count: int, cause: str) -> str:
        """Done, but for 13."""
        self.wishes.append(count)
        return "no luck" if count == 13 else ""

    async def stop(self, cause: str) -> str:
        """Done."""
        self.wishes.append("stop")
        return ""

    async def inspect(self, worker: int, seconds: float, format: str) -> tuple[str, str]:
        """Says what it was asked for; there is no worker 9."""
        return ("no such worker", "") if worker == 9 else ("", f"{worker} {seconds} {format}")

    async def call(self, worker: int, name: str, words: tuple[str, ...]) -> tuple[str, str]:
        """Says what it was asked for; there is no worker 9."""
        return ("no such worker", "") if worker == 9 else ("", f"{worker} {name} {' '.join(words)}")


async def test_a_command_of_the_application_is_passed_on(fleet: Fleet) -> None:
    """S: its name and words, to the worker that is named; what is no list of words is refused."""
    async with AsyncTestClient(build_management_app(fleet, Operator())) as client:
        done = await client.post("/call/count?worker=2", json=["--least=1", "--kind=a b"])
        assert (done.status_code, done.text) == (200, "2 count --least=1 --kind=a b")
        refused = await client.post("/call/count?worker=9", json=[])
        assert (refused.status_code, refused.text) == (409, "no such worker\n")
        for target, words, status in (("/call/count?worker=x", [], 400), ("/call/count", {"a": 1}, 422)):
            assert (await client.post(target, json=words)).status_code == status
    async with AsyncTestClient(build_management_app(fleet)) as client:
        assert (await client.post("/call/count", json=[])).status_code == 404


async def test_a_worker_can_be_looked_into(fleet: Fleet) -> None:
    """Issue 6: dumps and profiles, for who may command only; bad arguments are refused before a worker is asked."""
    async with AsyncTestClient(build_management_app(fleet, Operator())) as client:
        answers = [
            (response.status_code, response.text.strip())
            for target in ("/dump", "/dump?worker=9", "/dump?worker=x", "/profile?worker=1&seconds=2.5&format=html")
            for response in [await client.post(target)]
        ]
        for target in ("/profile?seconds=61", "/profile?seconds=0", "/profile?seconds=1e1", "/profile?format=svg"):
            assert (await client.post(target)).status_code == 400
    assert answers == [
        (200, "0 0.0 text"),
        (409, "no such worker"),
        (400, "worker=N says which"),
        (200, "1 2.5 html"),
    ]
    async with AsyncTestClient(build_management_app(fleet)) as client:
        assert (await client.post("/profile")).status_code == 404


async def test_commands_are_answered_with_their_outcome(fleet: Fleet) -> None:
    """K5: 200 when it was done, 409 with the cause when not, 400 for what can't be meant; a GET changes nothing."""
    operator = Operator()
    async with AsyncTestClient(build_management_app(fleet, operator)) as client:
        answers = {}
        for target in ("/reload", "/scale?workers=4", "/scale?workers=13", "/scale?workers=-1", "/scale", "/stop"):
            response = await client.post(target)
            answers[target] = response.status_code, response.text
            assert (await client.get(target)).status_code == 405
    assert answers == {
        "/reload": (200, "done\n"),
        "/scale?workers=4": (200, "done\n"),
        "/scale?workers=13": (409, "no luck\n"),
        "/scale?workers=-1": (400, "workers=N says how many\n"),
        "/scale": (400, "workers=N says how many\n"),
        "/stop": (200, "done\n"),
    }
    assert operator.wishes == ["reload", 4, 13, "stop"]


@pytest.mark.parametrize("target", ["/reload", "/scale?workers=4", "/stop"])
async def test_without_an_operator_there_are_no_commands(client: httpx.AsyncClient, target: str) -> None:
    """K5: on the port that the network reaches."""
    assert (await client.post(target)).status_code == 404
