"""benchmarks.servers and answers: what is measured is described, and right."""

from __future__ import annotations

import http.server
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from benchmarks import answers, environment
from benchmarks.__main__ import BASIC, REFERENCE
from benchmarks.answers import WrongAnswer
from benchmarks.process import ServerFailed, ServerProcess
from benchmarks.servers import Peer, discover, load
from benchmarks.workloads import BY_NAME, WORKLOADS, Workload

PEERS = {peer.name: peer for peer in discover()}


@pytest.fixture
def own_python(monkeypatch: pytest.MonkeyPatch) -> None:
    """Servers run on the interpreter of the tests: Fairlead is installed there."""
    monkeypatch.setattr(environment, "PYTHON", sys.executable)


LISTS = {(False, True): "requirements.txt", (False, False): "more.txt", (True, False): "telemetry.txt"}
"""The locked list by: observed, basic."""


@pytest.mark.parametrize("peer", PEERS.values(), ids=PEERS)
def test_every_server_describes_itself(peer: Peer) -> None:
    """A title, workloads that exist, and packages that the locked lists hold; its packages are not imported for that."""
    locked = (environment.ROOT / "benchmarks" / LISTS[peer.is_observed, peer.name in BASIC]).read_text()
    assert peer.title
    assert set(peer.workloads) <= set(BY_NAME)
    for package in peer.packages:
        assert f"\n{package}==" in f"\n{locked}"


def test_the_usual_ones_are_there() -> None:
    """Fairlead, Sanic and uvicorn are measured without asking; no two titles are the same."""
    assert set(BASIC) <= set(PEERS)
    assert REFERENCE in BASIC
    assert len({peer.title for peer in PEERS.values()}) == len(PEERS)


@pytest.mark.usefixtures("own_python")
@pytest.mark.parametrize("name", ["fairlead", "fairlead_bare", "fairlead_logged"])
def test_fairlead_gives_the_right_answers(name: str) -> None:
    """Every way of serving Fairlead answers every workload."""
    with ServerProcess(load(name), 0) as server:
        for workload in WORKLOADS:
            answers.check(workload, server.port)


@pytest.mark.usefixtures("own_python")
def test_the_limit_gives_the_right_answer() -> None:
    """What no echo in Python can pass does echo."""
    with ServerProcess(load("limit"), 0) as server:
        answers.check(BY_NAME["websocket"], server.port)


class _Wrong(http.server.BaseHTTPRequestHandler):
    """Answers everything with 200 and the same text, malformed bodies included."""

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self._answer()

    def _answer(self) -> None:
        body = self.server.answer  # type: ignore[attr-defined]
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: Any) -> None:
        pass


@pytest.fixture
def wrong_server() -> Iterator[http.server.ThreadingHTTPServer]:
    """A server that checks nothing."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Wrong)
    server.answer = BY_NAME["body"].body_bytes  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize("workload", WORKLOADS, ids=BY_NAME)
def test_a_wrong_server_is_found_out(workload: Workload, wrong_server: http.server.ThreadingHTTPServer) -> None:
    """A wrong answer, a malformed body that is taken, a websocket that isn't one: none is measured."""
    with pytest.raises(WrongAnswer):
        answers.check(workload, wrong_server.server_address[1])


@pytest.mark.usefixtures("own_python")
def test_a_server_that_does_not_start() -> None:
    """Its last words are in the message."""
    broken = Peer("no_such_server", "Broken", (), ("plaintext",), lambda port: None)
    with pytest.raises(ServerFailed, match=r"Broken ended with status 1: .*no_such_server"), ServerProcess(broken, 0):
        pass
