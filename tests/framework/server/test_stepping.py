"""A websocket's handler that waits for messages runs as they are read, and is an ordinary task all the same."""

from __future__ import annotations

import asyncio
import contextlib
import random
from contextvars import ContextVar
from typing import Any

import pytest

from fairlead import App, Request
from fairlead.errors import WebsocketClosed
from fairlead.websocket import Websocket
from tests.framework.server.scripted import Scripted
from tests.framework.websocket.conftest import close, server_frames, text

HANDSHAKE = (
    b"GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
VALUE: ContextVar[int] = ContextVar("value", default=0)

pytestmark = pytest.mark.event_loop("uvloop", "asyncio")


class Talk:
    """A websocket under a handler, and its peer."""

    def __init__(self, handler: Any) -> None:
        app = App("stepping")
        app.add_websocket_route(handler, "/ws")
        self.scripted = Scripted(app)
        self.seen_at_once: list[str] = []

    async def open(self) -> Talk:
        """Shake hands, and let the handler come to its first wait."""
        await self.scripted.send(HANDSHAKE)
        for _ in range(3):
            await self.scripted.turn()
        return self

    async def say(self, message: str) -> None:
        """The peer sends a message; what is answered before the loop turns is `seen_at_once`."""

        def send_and_look() -> None:
            self.scripted.arrive(text(message))
            self.seen_at_once = self.heard

        await self.scripted.happen(send_and_look)

    @property
    def heard(self) -> list[str]:
        """All messages of the server."""
        frames = self.scripted.taken.partition(b"\r\n\r\n")[2]
        return [payload.decode() for first, payload in server_frames(frames) if first == 0x81]

    async def end(self) -> None:
        """The peer leaves; the handler ends."""
        await self.scripted.happen(self.scripted.transport.leave)
        await self.scripted.until(lambda: not self.scripted.shared.runner.in_flight)
        self.scripted.close()


async def test_message_is_answered_as_it_is_read() -> None:
    """The handler runs before `data_received` returns, again and again, under one task and in one context."""
    tasks: set[Any] = set()

    async def echo(request: Request, ws: Websocket) -> None:
        async for message in ws:
            tasks.add(asyncio.current_task())
            VALUE.set(VALUE.get() + 1)
            await ws.send(f"{message} {VALUE.get()}")

    talk = await Talk(echo).open()
    for number in range(1, 200):  # every so often a `send` gives the loop a turn
        await talk.say("m")
        await talk.scripted.turn()
        assert talk.heard[-1] == f"m {number}"
    assert talk.seen_at_once == talk.heard
    assert tasks == set(talk.scripted.shared.runner.in_flight)
    assert VALUE.get() == 0
    await talk.end()


async def test_several_messages_of_one_read() -> None:
    """They are handled in a row, in order, and their answers leave together."""

    async def echo(request: Request, ws: Websocket) -> None:
        async for message in ws:
            await ws.send(message)

    talk = await Talk(echo).open()
    writes = len(talk.heard)
    await talk.scripted.send(b"".join(text(str(number)) for number in range(10)))
    assert talk.heard[writes:] == [str(number) for number in range(10)]
    await talk.end()


async def test_handler_that_waits_for_other_things_too() -> None:
    """Between two messages it may await whatever it likes: its task takes over, and messages that come meanwhile wait."""
    gate = asyncio.Event()

    async def work(request: Request, ws: Websocket) -> None:
        async for message in ws:
            if message == "sleep":
                await asyncio.sleep(0)
            elif message == "wait":
                await gate.wait()
            await ws.send(message)

    talk = await Talk(work).open()
    for message in ("a", "sleep", "b", "wait", "c"):
        await talk.say(message)
    assert talk.heard == ["a", "sleep", "b"]
    gate.set()
    await talk.scripted.until(lambda: len(talk.heard) == 5)
    await talk.say("d")
    assert talk.seen_at_once == ["a", "sleep", "b", "wait", "c", "d"]
    await talk.end()


async def test_time_outs_hold() -> None:
    """`recv(timeout)` and `asyncio.timeout` end a wait that was begun in a step, and one within it."""
    seen: list[str] = []

    async def patient(request: Request, ws: Websocket) -> None:
        assert await ws.recv() == "begin"
        with pytest.raises(TimeoutError):
            await ws.recv(timeout=0)
        seen.append("recv")
        assert await ws.recv() == "go on"
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0):
                await asyncio.Event().wait()
        seen.append("event")
        await ws.send(await ws.recv())

    talk = await Talk(patient).open()
    for message, expected in (("begin", ["recv"]), ("go on", ["recv", "event"])):
        await talk.say(message)
        await talk.scripted.until(lambda expected=expected: seen == expected)
    await talk.say("end")
    await talk.scripted.until(lambda: talk.heard == ["end"])
    await talk.end()


async def test_recv_in_a_task_of_the_handlers_own() -> None:
    """Two tasks, one that reads and one that writes (W8's data stream): the reader is woken in the loop's next turn."""

    async def pair(request: Request, ws: Websocket) -> None:
        async def read() -> None:
            async for message in ws:
                await ws.send(message)

        async with asyncio.TaskGroup() as group:
            group.create_task(read())

    talk = await Talk(pair).open()
    await talk.say("a")
    assert talk.seen_at_once == []
    await talk.scripted.until(lambda: talk.heard == ["a"])
    await talk.end()


@pytest.mark.parametrize("messages", [0, 1, 2])
async def test_cancelled_where_it_waits(messages: int) -> None:
    """`task.cancel()` reaches a handler that waits, whether or not it was ever run by hand, and can be overcome."""
    seen: list[Any] = []

    async def handler(request: Request, ws: Websocket) -> None:
        while True:
            try:
                seen.append(await ws.recv())
            except asyncio.CancelledError as error:
                seen.append(error.args)
                asyncio.current_task().uncancel()  # type: ignore[union-attr]
            except WebsocketClosed:
                return

    talk = await Talk(handler).open()
    for _ in range(messages):
        await talk.say("m")
    (task,) = talk.scripted.shared.runner.in_flight
    await talk.scripted.happen(task.cancel, "why")
    await talk.scripted.turn()
    await talk.say("after")
    await talk.scripted.turn()
    assert seen == ["m"] * messages + [("why",), "after"]
    await talk.end()


@pytest.mark.parametrize("then", ["recv", "event", "nothing", "done future"])
async def test_cancelled_by_itself_while_it_runs(then: str) -> None:
    """A handler that cancels its own task within a step meets that at its next wait, whatever it waits for."""
    seen: list[str] = []

    async def handler(request: Request, ws: Websocket) -> None:
        await ws.recv()
        asyncio.current_task().cancel()  # type: ignore[union-attr]
        if then == "nothing":
            return
        try:
            if then == "recv":
                await ws.recv()
            elif then == "event":
                await asyncio.Event().wait()
            else:
                await asyncio.sleep(0)
                await asyncio.sleep(0)
        except asyncio.CancelledError:
            seen.append("cancelled")
            raise

    talk = await Talk(handler).open()
    await talk.say("m")
    await talk.scripted.turn()
    await talk.end()
    assert seen == ["cancelled"] * (then != "nothing")


async def test_handler_that_ends_or_fails_in_a_step(caplog: pytest.LogCaptureFixture) -> None:
    """Its end closes the websocket as ever: 1000, or 1011 and a line in the log."""

    async def handler(request: Request, ws: Websocket) -> None:
        if await ws.recv() == "fail":
            raise ValueError("on purpose")

    for message, code in (("fine", b"\x88\x02\x03\xe8"), ("fail", b"\x88\x02\x03\xf3")):
        talk = await Talk(handler).open()
        await talk.say(message)
        await talk.scripted.until(lambda code=code, talk=talk: talk.scripted.taken.endswith(code))
        await talk.scripted.send(close())
        await talk.end()
    assert caplog.text.count("websocket handler failed") == 1


async def test_interruption_in_a_step() -> None:
    """KeyboardInterrupt and the like come out at the loop, and no task is left that waits for ever."""

    async def handler(request: Request, ws: Websocket) -> None:
        await ws.recv()
        raise KeyboardInterrupt

    talk = await Talk(handler).open()
    caught: list[str] = []

    def interrupt() -> None:
        try:
            talk.scripted.arrive(text("m"))
        except KeyboardInterrupt:
            caught.append("interrupted")

    await talk.scripted.happen(interrupt)
    await talk.scripted.until(lambda: not talk.scripted.shared.runner.in_flight)
    assert caught == ["interrupted"]
    await talk.end()


@pytest.mark.parametrize("seed", range(25))
async def test_any_order(seed: int) -> None:
    """Whatever the handler does with a message, and however messages, turns and releases fall: each is answered once, in order."""
    chance, gates = random.Random(seed), []

    async def handler(request: Request, ws: Websocket) -> None:
        async for message in ws:
            match message.split()[0]:
                case "sleep":
                    await asyncio.sleep(0)
                case "gate":
                    gate = asyncio.get_running_loop().create_future()
                    gates.append(gate)
                    await gate
                case "patient":
                    with contextlib.suppress(TimeoutError):
                        await ws.send(f"extra {await ws.recv(timeout=0)}")
                case "child":
                    await asyncio.create_task(ws.send("child"))
                case "cancelled":
                    asyncio.current_task().cancel()  # type: ignore[union-attr]
                    with contextlib.suppress(asyncio.CancelledError):
                        await asyncio.sleep(0)
                    asyncio.current_task().uncancel()  # type: ignore[union-attr]
            await ws.send(message)

    talk = await Talk(handler).open()
    sent: list[str] = []
    for _ in range(120):
        step = chance.choice(["one", "one", "many", "turn", "release"])
        if step in ("one", "many"):
            batch = []
            for _ in range(1 if step == "one" else chance.randint(2, 40)):
                batch.append(f"{chance.choice(['plain', 'plain', 'sleep', 'gate', 'patient', 'child', 'cancelled'])} {len(sent)}")
                sent.append(batch[-1])
            await talk.scripted.send(b"".join(map(text, batch)))
        elif step == "turn":
            await talk.scripted.turn()
        for gate in gates:
            if step == "release" and not gate.done():
                gate.set_result(None)
    answered = 0
    while answered < len(sent):
        for gate in gates:
            if not gate.done():
                gate.set_result(None)
        await talk.scripted.turn()
        answers = sorted((m.removeprefix("extra ") for m in talk.heard if m != "child"), key=lambda m: int(m.split()[1]))
        answered = len(answers)
    assert answers == sent
    in_order = [message for message in talk.heard if message[:5] not in ("extra", "child")]
    assert in_order == [message for message in sent if message in in_order]
    await talk.end()
