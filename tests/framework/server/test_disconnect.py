"""A client that leaves while its request is handled: the handler is cancelled, and told why, or let finish, as its route says."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from fairlead import App, Request, text
from fairlead.errors import RequestCancelled
from fairlead.server import Server
from tests.framework.server.conftest import listening_socket
from tests.framework.server.scripted import Scripted, turn, until

GET = b"GET %b HTTP/1.1\r\nHost: a\r\n\r\n"


class Rig:
    """Handlers that wait, and what they saw."""

    def __init__(self) -> None:
        self.seen: list[Any] = []
        self.gate = asyncio.Event()
        self.app = App("disconnect")

    async def wait(self, request: Request) -> Any:
        """Until the gate opens; note what ends the wait."""
        try:
            await self.gate.wait()
            self.seen.append("finished")
        except BaseException as error:
            self.seen.append(type(error))
            raise
        return text("done")


@pytest.fixture
def rig() -> Rig:
    """Handlers that wait."""
    return Rig()


async def leave(scripted: Scripted, *, in_flight: int = 0) -> None:
    """The client leaves, and its request comes to its end or goes on."""
    await scripted.happen(scripted.transport.leave)
    await scripted.until(lambda: len(scripted.shared.runner.in_flight) == in_flight)


async def test_handler_is_cancelled_and_told_why(rig: Rig) -> None:
    """By default a handler that waits is cancelled with `RequestCancelled`, a kind of `asyncio.CancelledError`."""
    rig.app.add_route(rig.wait, "/")
    scripted = Scripted(rig.app)
    await scripted.send(GET % b"/")
    await leave(scripted)
    assert rig.seen == [RequestCancelled]
    assert issubclass(RequestCancelled, asyncio.CancelledError)
    scripted.close()


async def test_cancellation_by_the_application_is_another(rig: Rig) -> None:
    """A task that the application cancels sees a plain `CancelledError`, and its client a 503."""
    rig.app.add_route(rig.wait, "/")
    scripted = Scripted(rig.app)
    await scripted.send(GET % b"/")
    for task in scripted.shared.runner.in_flight:
        task.cancel()
    await scripted.until(lambda: scripted.taken)
    assert rig.seen == [asyncio.CancelledError]
    assert scripted.taken.startswith(b"HTTP/1.1 503 ")
    scripted.close()


async def test_cancelled_once_for_the_client_and_again_by_the_application(rig: Rig) -> None:
    """What a handler awaits to clean up after its client has left can be cancelled too, and that is told from the first."""

    async def tidy(request: Request) -> None:
        try:
            await rig.wait(request)
        finally:
            await rig.wait(request)

    rig.app.add_route(tidy, "/")
    scripted = Scripted(rig.app)
    await scripted.send(GET % b"/")
    await leave(scripted, in_flight=1)
    for task in list(scripted.shared.runner.in_flight):
        await scripted.turn()
        task.cancel()
    await scripted.until(lambda: not scripted.shared.runner.in_flight)
    assert rig.seen == [RequestCancelled, asyncio.CancelledError]
    scripted.close()


async def test_through_time_outs_and_task_groups(rig: Rig) -> None:
    """Time-outs and task groups pass `RequestCancelled` on (up to Python 3.12 in a group) and end what runs inside."""

    async def nested(request: Request) -> None:
        try:
            async with asyncio.timeout(60), asyncio.TaskGroup() as group:
                group.create_task(rig.wait(request))
                await asyncio.Event().wait()
        except* RequestCancelled:
            rig.seen.append("told")
            raise

    rig.app.add_route(nested, "/")
    scripted = Scripted(rig.app)
    await scripted.send(GET % b"/")
    await leave(scripted)
    assert rig.seen == [asyncio.CancelledError, "told"]
    scripted.close()


async def test_handler_that_is_let_finish(rig: Rig) -> None:
    """`on_disconnect="finish"`: the handler goes on to its end, can see that the client is gone, and nothing is written."""
    infos: list[Any] = []

    async def order(request: Request) -> Any:
        infos.append(request.conn_info)
        return await rig.wait(request)

    rig.app.add_route(order, "/", ["POST", "GET"], on_disconnect="finish")
    scripted = Scripted(rig.app)
    await scripted.send(GET % b"/")
    await leave(scripted, in_flight=1)
    assert infos[0].lost
    rig.gate.set()
    await scripted.until(lambda: not scripted.shared.runner.in_flight)
    assert (rig.seen, scripted.taken) == (["finished"], b"")
    scripted.close()


async def test_stream_of_a_handler_that_is_let_finish(rig: Rig) -> None:
    """Sending to a client that is gone raises `RequestCancelled` under either policy: nobody is left to send to."""

    async def stream(request: Request) -> None:
        response = await request.respond()
        await rig.wait(request)
        try:
            await response.send("more")
        except RequestCancelled:
            rig.seen.append("nobody there")
            raise

    rig.app.add_route(stream, "/", on_disconnect="finish")
    scripted = Scripted(rig.app)
    await scripted.send(GET % b"/")
    await leave(scripted, in_flight=1)
    rig.gate.set()
    await scripted.until(lambda: not scripted.shared.runner.in_flight)
    assert rig.seen == ["finished", "nobody there"]
    scripted.close()


async def test_drain_waits_for_a_handler_that_is_let_finish(rig: Rig) -> None:
    """Work whose client has left is in flight as any other: a drain waits for it (K2)."""
    rig.app.add_route(rig.wait, "/", on_disconnect="finish")
    loop, listening = asyncio.get_running_loop(), listening_socket()
    server = Server(rig.app.finalise(), [listening])
    await server.start()
    _, writer = await asyncio.open_connection(*listening.getsockname())
    writer.write(GET % b"/")
    await until(lambda: server.in_flight)
    writer.close()
    await until(lambda: not server.open_connections)
    draining = asyncio.create_task(server.drain(loop.time() + 30))
    for _ in range(20):
        await turn()
    assert not draining.done()
    rig.gate.set()
    assert await draining == 0
    assert rig.seen == ["finished"]
    listening.close()


def test_unknown_policy(rig: Rig) -> None:
    """There are two policies."""
    with pytest.raises(ValueError, match="on_disconnect 'ignore' of / is none of cancel, finish"):
        rig.app.add_route(rig.wait, "/", on_disconnect="ignore")  # type: ignore[arg-type]
