"""What websockets on real transports write, one and many, on uvloop and on asyncio's own loop."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import pytest
import uvloop
from websockets.extensions.permessage_deflate import PerMessageDeflate

from fairlead.channels import Fanout, StreamPosition
from fairlead.channels.fanout import ROUND_BYTES, SLICE
from fairlead.channels.stream import BEGINNING
from fairlead.http.head import Head
from fairlead.request import Request
from fairlead.websocket import Accepted, PreparedMessage, SendQueue, Websocket, WebsocketStats
from fairlead.websocket.outbox import SENDS_PER_TURN

from .conftest import Exchange, close, server_frames, text, turns

LOOPS = {"uvloop": uvloop.new_event_loop, "asyncio": asyncio.new_event_loop}
BIG = "x" * 200_000


class Line(asyncio.Protocol):
    """A websocket on a real transport, and its peer's socket."""

    def __init__(self, peer: socket.socket, stats: WebsocketStats) -> None:
        self.peer = peer
        self.stats = stats
        self.ws: Websocket

    @classmethod
    async def make(cls, stats: WebsocketStats | None = None, accepted: Accepted | None = None) -> Line:
        ours, peer = socket.socketpair()
        for end in (ours, peer):
            end.setblocking(False)
        made = cls(peer, stats or WebsocketStats())
        transport, _ = await asyncio.get_running_loop().create_connection(lambda: made, sock=ours)
        request: Request[Any, Any] = Request(None, Exchange(), b"GET", b"/", Head(), b"")
        made.ws = Websocket(transport, request, accepted or Accepted(accept=""), stats=made.stats)
        return made

    def data_received(self, data: bytes) -> None:
        self.ws.data_received(data)

    def pause_writing(self) -> None:
        self.ws.pause_writing()

    def resume_writing(self) -> None:
        self.ws.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        self.ws.connection_lost(exc)
        self.peer.close()

    async def read(self, count: int) -> list[str]:
        """So many messages that the peer reads, and no more."""
        data = b""
        while True:
            data += await asyncio.get_running_loop().sock_recv(self.peer, 1 << 20)
            try:
                frames = server_frames(data)
            except (AssertionError, IndexError):  # half a frame
                continue
            if len(frames) >= count:
                assert len(frames) == count
                return [payload.decode() for _, payload in frames]


Make = Callable[..., Awaitable[Line]]
Test = Callable[[Make], Coroutine[Any, Any, None]]


async def with_lines(test: Test) -> None:
    """Give `test` what makes lines; afterwards they are cut."""
    made: list[Line] = []

    async def make(*arguments: Any) -> Line:
        made.append(await Line.make(*arguments))
        return made[-1]

    try:
        await test(make)
    finally:
        for line in made:
            line.ws.outbox.transport.abort()
        await turns()


@pytest.fixture(params=LOOPS.values(), ids=LOOPS)
def run(request: pytest.FixtureRequest) -> Callable[[Test], None]:
    """Runs a test on a loop of each kind."""

    def on_loop(test: Test) -> None:
        with asyncio.Runner(loop_factory=request.param) as runner:
            runner.run(with_lines(test))

    return on_loop


Run = Callable[[Test], None]


def test_a_lone_message_goes_at_once_and_the_others_of_its_turn_together(run: Run) -> None:
    """W11: a broadcast is one write for each websocket; what else a turn brings is one more, at its end."""

    async def test(make: Make) -> None:
        line, fanout = await make(), Fanout(gap_notice="gap")
        fanout.history.restart(BEGINNING)
        with fanout.subscribe(line.ws):
            for number in range(4):
                assert line.ws.outbox.is_clear is (number < 2)
                fanout.publish(StreamPosition(number + 1, 0), str(number))
            assert [payload for _, payload in server_frames(line.peer.recv(100))] == [b"0"]
            await turns()
            assert line.ws.outbox.is_clear
            assert [payload for _, payload in server_frames(line.peer.recv(100))] == [b"1", b"2", b"3"]

    run(test)


def test_messages_of_all_ways_keep_their_order(run: Run) -> None:
    """`send`, `post`, a queue and a broadcast: what is sent later arrives later, also while received messages wait."""

    async def test(make: Make) -> None:
        line, fanout = await make(), Fanout(gap_notice="gap")
        fanout.history.restart(BEGINNING)
        ws, queue = line.ws, SendQueue.of(line.ws)
        with fanout.subscribe(ws):
            line.peer.send(text("a") + text("b"))
            await ws.recv()
            await ws.send("0")  # collected: another message waits to be answered
            assert ws.outbox.frames
            fanout.publish(StreamPosition(1, 0), "1")
            ws.post(PreparedMessage("2"))
            queue.put(PreparedMessage("3"))
            await ws.send("4")
            await ws.recv()
            await ws.send("5")
            fanout.publish(StreamPosition(2, 0), "6")
            await ws.send("7")
            assert await line.read(8) == [str(number) for number in range(8)]

    run(test)


def test_who_does_not_read_is_passed_over_until_there_is_room(run: Run) -> None:
    """W10: what is broadcast meanwhile waits in the queue, and arrives in order; the counters know all of it."""

    async def test(make: Make) -> None:
        stats = WebsocketStats()
        slow, quick = await make(stats), await make(stats)
        fanout = Fanout(gap_notice="gap")
        fanout.history.restart(BEGINNING)
        with fanout.subscribe(slow.ws), fanout.subscribe(quick.ws):
            slow.ws.post(PreparedMessage(BIG))
            while not slow.ws.outbox.is_paused:
                slow.ws.post(PreparedMessage(BIG))
                await turns(1)
            piled_up = stats.messages_sent
            assert not slow.ws.outbox.is_clear
            for number in range(5):
                fanout.publish(StreamPosition(number + 1, 0), str(number))
            assert await quick.read(5) == list("01234")
            assert (stats.queued, stats.messages_sent) == (5, piled_up + 5)
            assert (await slow.read(piled_up + 5))[-5:] == list("01234")
            assert (stats.queued, stats.messages_sent) == (0, piled_up + 10)
            assert stats.bytes_sent == piled_up * len(BIG) + 10
            fanout.publish(StreamPosition(9, 0), "later")
            assert await slow.read(1) == ["later"]

    run(test)


def test_who_closes_is_sent_nothing_more(run: Run) -> None:
    """After the peer's close frame, in the same turn even, a broadcast leaves it out, and forgets it."""

    async def test(make: Make) -> None:
        stats = WebsocketStats()
        leaving, staying = await make(stats), await make(stats)
        fanout = Fanout(gap_notice="gap")
        fanout.history.restart(BEGINNING)
        fanout.subscribe(leaving.ws)
        fanout.subscribe(staying.ws)
        fanout.publish(StreamPosition(1, 0), "1")
        leaving.ws.data_received(close(1000))
        assert not leaving.ws.outbox.is_clear
        fanout.publish(StreamPosition(2, 0), "2")
        assert len(fanout) == 1
        assert await staying.read(2) == ["1", "2"]
        assert stats.messages_sent == 3

    run(test)


def test_a_transport_that_closes_is_not_written_to(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    """Between a connection's end and the turn in which it is told, a broadcast makes no noise in the log."""

    async def test(make: Make) -> None:
        line, fanout = await make(), Fanout(gap_notice="gap")
        fanout.history.restart(BEGINNING)
        fanout.subscribe(line.ws)
        line.ws.outbox.transport.abort()
        for number in range(20):
            fanout.publish(StreamPosition(number + 1, 0), "to nobody")
        await turns()
        fanout.publish(StreamPosition(99, 0), "to nobody")
        assert len(fanout) == 0

    run(test)
    assert not caplog.records


def test_messages_are_counted_where_each_websocket_counts(run: Run) -> None:
    """Websockets of several servers, or with a span of their own, take part in one broadcast; each counts its own."""

    async def test(make: Make) -> None:
        lines = [await make() for _ in range(2)]
        lines += [await make(lines[0].stats), await make(lines[0].stats)]
        fanout = Fanout(gap_notice="gap")
        fanout.history.restart(BEGINNING)
        for line in lines:
            fanout.subscribe(line.ws)
        fanout.publish(StreamPosition(1, 0), "four")
        assert [(line.stats.messages_sent, line.stats.bytes_sent) for line in lines[:2]] == [(3, 12), (1, 4)]

    run(test)


async def test_sending_to_a_crowd_leaves_others_their_turn() -> None:
    """The chat room that awaits one `send` after the other holds the loop for no more than `SENDS_PER_TURN` of them."""

    async def test(make: Make) -> None:
        lines = [await make() for _ in range(2 * SENDS_PER_TURN + 2)]
        sent, steps = 0, []

        async def room() -> None:
            nonlocal sent
            for line in lines:
                await line.ws.send("hello")
                sent += 1

        sending = asyncio.create_task(room())
        while not sending.done():
            before = sent
            await asyncio.sleep(0)
            steps.append(sent - before)
        assert max(steps) <= SENDS_PER_TURN + 1
        assert sent == len(lines)

    await with_lines(test)


class Spy:
    """Notes what a transport is given."""

    def __init__(self, transport: Any) -> None:
        self._transport = transport
        self.writes: list[bytes] = []

    def write(self, data: bytes) -> None:
        self.writes.append(data)
        self._transport.write(data)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


def test_a_round_takes_what_has_come_meanwhile(run: Run) -> None:
    """Messages to very many that follow each other quickly leave together: one write for each websocket and round, of a bounded
    size, which everybody shares; who comes in between is sent what is published from then on, and nothing twice."""

    async def test(make: Make) -> None:
        stats = WebsocketStats()
        fanout = Fanout(gap_notice="gap")
        fanout.history.restart(BEGINNING)
        lines = [await make(stats) for _ in range(SLICE + 1)]
        for line in lines:
            fanout.subscribe(line.ws)
        outbox = lines[-1].ws.outbox
        outbox.transport = spy = Spy(outbox.transport)  # type: ignore[assignment]
        big = "x" * (ROUND_BYTES // 2)
        for number, message in enumerate(["0", "1", big, big]):
            fanout.publish(StreamPosition(number + 1, 0), message)
        late = await make()
        fanout.subscribe(late.ws, after=StreamPosition(3, 0))
        fanout.publish(StreamPosition(5, 0), big)
        fanout.publish(StreamPosition(6, 0), "5")
        assert await lines[-1].read(6) == ["0", "1", big, big, big, "5"]
        assert await late.read(3) == [big, big, "5"]
        zero, one, many, five = (PreparedMessage(message).plain for message in ("0", "1", big, "5"))
        assert spy.writes == [zero, one + 2 * many, many + five]
        assert (stats.messages_sent, stats.bytes_sent) == (6 * len(lines), (3 + 3 * len(big)) * len(lines))

    run(test)


def test_who_compresses_or_counts_for_itself_is_sent_each_message(run: Run) -> None:
    """A websocket with compression is sent its own frames, and counters that stand in for the server's (a span's) are told of each
    message, also where several leave together."""

    class Noting(WebsocketStats):
        noted: list[int]

        def __setattr__(self, name: str, value: Any) -> None:
            if name == "messages_sent":
                self.__dict__.setdefault("noted", []).append(value)
            super().__setattr__(name, value)

    async def test(make: Make) -> None:
        extension = PerMessageDeflate(True, True, 12, 12)
        noting, compressing = await make(Noting()), await make(None, Accepted(accept="", extensions=(extension,)))
        fanout = Fanout(gap_notice="gap")
        fanout.history.restart(BEGINNING)
        for line in (noting, compressing):
            fanout.subscribe(line.ws)
        for number in range(3):
            fanout.publish(StreamPosition(number + 1, 0), "long enough to be compressed " * 10)
        assert len(await noting.read(3)) == 3
        assert noting.stats.noted == [0, 1, 2, 3]  # type: ignore[attr-defined]
        await turns()
        assert len(compressing.peer.recv(10_000)) < 3 * 100
        assert compressing.stats.bytes_sent == 3 * 29 * 10

    run(test)
