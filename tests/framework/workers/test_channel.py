"""The control channel over a real socketpair: framing, limits, the end of the stream."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from itertools import pairwise
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairlead.workers.channel import CONGESTED_BYTES, MAX_MESSAGE_BYTES, Channel, ChannelError, frame, receive_now
from fairlead.workers.messages import (
    Beat,
    Changed,
    CheckResult,
    CollectMetrics,
    Drain,
    FromSupervisor,
    FromWorker,
    Metrics,
    Retire,
    WorkerSpec,
    WorkerState,
)

SPEC = WorkerSpec("shop.main:app", 1, 42, (5, 6), 7, 15.0, {"PORT": 8000, "WEBSOCKET_ORIGINS": ["a"]})

FROM_WORKER = [
    Changed(WorkerState.READY, name="shop", debug=True, loop="asyncio"),
    Changed(WorkerState.FAILED, cause="no", detail="Traceback", exit_status=2),
    Beat(1.5, 0.25, 3, 4, (CheckResult("database", "readiness", True, "gone"),)),
    Beat(1.5),
    Metrics({"a_total": {"kind": "counter", "series": [[[], 1]]}}, 7),
    Retire("old"),
]
FROM_SUPERVISOR = [SPEC, Drain(12.5), CollectMetrics(7)]


@pytest.fixture
async def ends() -> AsyncIterator[tuple[Channel[Any], Channel[Any], socket.socket]]:
    """The supervisor's end, the worker's end, and the worker's socket for literal bytes."""
    ours, theirs = socket.socketpair()
    raw = theirs.dup()
    supervisor: Channel[Any] = await Channel.open(ours, FromWorker)
    worker: Channel[Any] = await Channel.open(theirs, FromSupervisor)
    yield supervisor, worker, raw
    raw.close()
    await supervisor.close()
    await worker.close()


@pytest.mark.event_loop("uvloop", "asyncio")
async def test_messages_arrive_as_they_were_sent(ends: Any) -> None:
    """Every message of both directions, in order, on both loops."""
    supervisor, worker, _ = ends
    for message in FROM_WORKER:
        worker.send(message)
    for message in FROM_SUPERVISOR:
        supervisor.send(message)
    assert [await supervisor.receive() for _ in FROM_WORKER] == FROM_WORKER
    assert [await worker.receive() for _ in FROM_SUPERVISOR] == FROM_SUPERVISOR


@given(cuts=st.lists(st.integers(0, 200), max_size=8))
async def test_any_split_of_the_bytes_gives_the_same_messages(cuts: list[int]) -> None:
    """Framing does not depend on how the stream is cut into pieces."""
    stream = b"".join(map(frame, FROM_WORKER))
    ours, theirs = socket.socketpair()
    supervisor: Channel[Any] = await Channel.open(ours, FromWorker)
    places = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    for begin, end in pairwise(places):
        theirs.send(stream[begin:end])
        await asyncio.sleep(0)
    theirs.close()
    received = []
    while (message := await supervisor.receive()) is not None:
        received.append(message)
    await supervisor.close()
    assert received == FROM_WORKER


async def test_the_end_of_the_stream_is_none(ends: Any) -> None:
    """K3: that is how either side learns of the other's death."""
    supervisor, worker, raw = ends
    raw.close()
    await worker.close()
    assert await supervisor.receive() is None


async def test_a_message_that_was_cut_off_is_the_end(ends: Any) -> None:
    """A worker that dies while it writes leaves a piece of a message behind."""
    supervisor, worker, raw = ends
    raw.send(frame(FROM_WORKER[0])[:-1])
    raw.close()
    await worker.close()
    assert await supervisor.receive() is None


async def test_a_message_beyond_the_limit_is_refused_unread(ends: Any) -> None:
    """Nobody can make the supervisor keep gigabytes: the length alone is enough."""
    supervisor, _, raw = ends
    raw.send((MAX_MESSAGE_BYTES + 1).to_bytes(4, "big"))
    with pytest.raises(ChannelError, match="passes the limit"):
        await supervisor.receive()


async def test_a_message_beyond_the_limit_is_not_sent(ends: Any) -> None:
    """The sender finds out first."""
    _, worker, _ = ends
    with pytest.raises(ChannelError, match="passes the limit"):
        worker.send(Metrics({"x": "y" * MAX_MESSAGE_BYTES}))


@pytest.mark.parametrize("body", [b"\xc1", msgspec.msgpack.encode({"type": "surprise"}), msgspec.msgpack.encode([1])])
async def test_what_is_no_message_is_an_error(ends: Any, body: bytes) -> None:
    """Neither junk nor an unknown tag passes for a message."""
    supervisor, _, raw = ends
    raw.send(len(body).to_bytes(4, "big") + body)
    with pytest.raises(ChannelError, match="not a message"):
        await supervisor.receive()


async def test_sending_to_somebody_who_is_gone_is_no_error(ends: Any) -> None:
    """A beat that nobody hears ends no worker; `receive` tells that the other side is gone."""
    supervisor, worker, raw = ends
    raw.close()
    await supervisor.close()
    worker.send(FROM_WORKER[2])
    await worker.flush()
    assert await worker.receive() is None
    worker.send(FROM_WORKER[2])


async def test_a_peer_that_does_not_read_is_noticed(ends: Any) -> None:
    """Beats are left out then, instead of being kept without limit."""
    _, worker, _ = ends
    assert not worker.is_congested
    while not worker.is_congested:
        worker.send(Metrics({"x": "y" * (CONGESTED_BYTES // 4)}))


def test_a_process_without_a_loop_can_receive() -> None:
    """A worker reads its first message before it has chosen a loop."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.sendall(frame(SPEC))
        assert receive_now(theirs, WorkerSpec) == SPEC


@pytest.mark.parametrize("sent", [b"", frame(SPEC)[:2], frame(SPEC)[:-1]])
def test_a_stream_that_ends_too_early_is_an_eof(sent: bytes) -> None:
    """The supervisor has died between the spawn and the first message."""
    ours, theirs = socket.socketpair()
    with theirs:
        with ours:
            ours.sendall(sent)
        with pytest.raises(EOFError):
            receive_now(theirs, WorkerSpec)
