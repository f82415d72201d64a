"""A rolling update without a cluster: one pod is replaced by the next under load, and no request fails (K2, K5).

What a cluster adds is here in small: `Balancer` asks both pods for `/readyz`, as endpoints do, and clients go on to
whichever is ready. As behind kube-proxy a client may still use a pod for a moment after it was told to stop; the drain
delay is for that moment.
"""

from __future__ import annotations

import contextlib
import http.client
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from .conftest import Deployment

APP = """
import asyncio
from fairlead import App, text

app = App("steady")

@app.get("/")
async def work(request):
    await asyncio.sleep(0.01)
    return text("done")
"""

CLIENTS = 8
PROBE_PERIOD_S = 0.2
DELAY_S = 2


class Balancer:
    """Knows which pods are ready; clients ask it before each request."""

    def __init__(self, *pods: Deployment) -> None:
        self.pods = pods
        self.ready: tuple[Deployment, ...] = ()
        self.failures: list[str] = []
        self.answers: Counter[int] = Counter()
        self._stop = threading.Event()
        self._progress = threading.Condition()

    @contextlib.contextmanager
    def load(self) -> Iterator[None]:
        """Probes and clients at work until the block ends."""
        self.probe()
        threads = [threading.Thread(target=self._probe)] + [threading.Thread(target=self._call) for _ in range(CLIENTS)]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._stop.set()
            for thread in threads:
                thread.join(30)

    def await_answers(self, count: int, port: int) -> None:
        """Returns when so many more have come from the pod on this port."""
        with self._progress:
            wanted = self.answers[port] + count
            assert self._progress.wait_for(lambda: self.answers[port] >= wanted, 60), self.failures

    def probe(self) -> None:
        """One look at every pod."""
        self.ready = tuple(pod for pod in self.pods if self._is_ready(pod))

    def _is_ready(self, pod: Deployment) -> bool:
        try:
            return pod.get("/readyz", management=True, timeout_s=5)[0] == 200
        except OSError:
            return False

    def _probe(self) -> None:
        while not self._stop.wait(PROBE_PERIOD_S):
            self.probe()

    def _call(self) -> None:
        connections = {pod.port: http.client.HTTPConnection("127.0.0.1", pod.port, timeout=30) for pod in self.pods}
        turn = 0
        while not self._stop.is_set():
            ready = self.ready
            pod, turn = ready[turn % len(ready)], turn + 1
            self._request(connections[pod.port], pod.port)
        for connection in connections.values():
            connection.close()

    def _request(self, connection: http.client.HTTPConnection, port: int) -> None:
        try:
            connection.request("GET", "/")
            response = connection.getresponse()
            if (response.status, response.read()) != (200, b"done"):
                self.failures.append(f"{port}: {response.status}")
        except (OSError, http.client.HTTPException) as error:
            self.failures.append(f"{port}: {error!r}")
            connection.close()
        with self._progress:
            self.answers[port] += 1
            self._progress.notify_all()


@pytest.fixture
def steady_app(tmp_path: Path) -> tuple[str, ...]:
    """A little application, mounted into the container."""
    (tmp_path / "steady.py").write_text(APP)
    (tmp_path / "steady.py").chmod(0o644)
    tmp_path.chmod(0o755)
    return f"--volume={tmp_path}:/app:ro", "--env=PYTHONPATH=/app", f"--env=FAIRLEAD_DRAIN_DELAY={DELAY_S}"


def test_replaced_under_load(bare: Deployment, second: Deployment, steady_app: tuple[str, ...]) -> None:
    """The new pod comes, the old one is told to stop and ends with 0; of all requests meanwhile not one fails."""
    options = [*steady_app, "--env=FAIRLEAD_WORKERS=2"]
    balancer = Balancer(bare, second)
    with contextlib.ExitStack() as pods:
        old = pods.enter_context(bare.start("serve", "steady:app", options=options))
        bare.await_status(200, "/readyz", old)
        with balancer.load():
            balancer.await_answers(100, bare.port)
            new = pods.enter_context(second.start("serve", "steady:app", options=options))
            second.await_status(200, "/readyz", new)
            balancer.await_answers(100, second.port)
            old.signal("TERM")
            assert old.wait() == 0, old.logs
            balancer.await_answers(100, second.port)
        assert balancer.failures == []
