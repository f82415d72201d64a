"""benchmarks.broadcast: what is counted is what was sent, and the figures come from where they should."""

from __future__ import annotations

import asyncio
import json
import os
import sys

import pytest

from benchmarks import environment
from benchmarks.broadcast.__main__ import DEFLATE, PLAIN, BroadcastServer
from benchmarks.broadcast.load import Crowd
from benchmarks.broadcast.servers import SERVERS


@pytest.fixture(autouse=True)
def own_python(monkeypatch: pytest.MonkeyPatch) -> None:
    """Servers run on the interpreter of the tests: Fairlead is installed there."""
    monkeypatch.setattr(environment, "PYTHON", sys.executable)


@pytest.mark.parametrize("name", ["limit", "fairlead", "fairlead_send", "fairlead_deflate", "websockets_deflate"])
async def test_every_message_arrives_everywhere(name: str) -> None:
    """So many frames at each subscriber as were asked for, and none at the one who asks; again and again."""
    with BroadcastServer(name, min(os.sched_getaffinity(0))) as server:
        crowd = Crowd(server.port, compression="deflate" in name)
        await crowd.open(9)
        for count in (3, 1):
            assert await crowd.broadcast(count) > 0
            assert [subscriber.frames for subscriber in crowd.subscribers] == [count] * 8 + [0]
        assert server.rss_bytes() > 1_000_000
        crowd.close()


async def test_the_lag_is_the_servers() -> None:
    """Measured in its loop, while everybody is sent to."""
    with BroadcastServer("fairlead", min(os.sched_getaffinity(0))) as server:
        crowd = Crowd(server.port)
        await crowd.open(3)
        lag = json.loads(await crowd.ask("lag"))
        assert 0 <= lag["p50_ms"] <= lag["p99_ms"] <= lag["max_ms"]
        assert crowd.subscribers[0].frames == 30
        crowd.close()


async def test_lost_subscribers_are_no_result() -> None:
    """A server that cuts those who are slow would look fast."""
    with BroadcastServer("limit", min(os.sched_getaffinity(0))) as server:
        crowd = Crowd(server.port)
        await crowd.open(3)
        crowd.subscribers[0].transport.abort()
        while not crowd.lost:  # noqa: ASYNC110
            await asyncio.sleep(0)
        with pytest.raises(RuntimeError, match="1 connections were lost"):
            await crowd.broadcast(1)
        crowd.close()


def test_what_is_measured_exists() -> None:
    """Every name of the default choice is a server."""
    assert {*PLAIN, *DEFLATE, "bare"} == set(SERVERS)
