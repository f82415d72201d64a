"""The peers that are not written in Python: Cython, Rust, C++."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

from benchmarks.broadcast.task import MESSAGE, repeat, run

HEADER_ROOM = 14
"""picows writes the frame's header in front of a message that lies so far into its buffer."""


def picows(port: int) -> None:
    """In Cython, without a task."""
    _picows(port, is_prebuilt=False)


def picows_prebuilt(port: int) -> None:
    """The message in a buffer with room for the frame's header, so that it isn't copied, as the documentation advises."""
    _picows(port, is_prebuilt=True)


def _picows(port: int, *, is_prebuilt: bool) -> None:
    from picows import WSFrame, WSListener, WSMsgType, WSTransport, ws_create_server

    subscribers: set[WSTransport] = set()
    message = MESSAGE.encode()
    buffer = bytearray(HEADER_ROOM) + message

    def send() -> None:
        for transport in subscribers:
            transport.send(WSMsgType.TEXT, message)

    def send_prebuilt() -> None:
        for transport in subscribers:
            transport.send_reuse_external_bytearray(WSMsgType.TEXT, buffer, HEADER_ROOM)

    class Subscriber(WSListener):
        def on_ws_connected(self, transport: WSTransport) -> None:
            subscribers.add(transport)

        def on_ws_disconnected(self, transport: WSTransport) -> None:
            subscribers.discard(transport)

        def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
            subscribers.discard(transport)
            if frame.msg_type is WSMsgType.TEXT:
                asyncio.get_running_loop().create_task(
                    repeat(int(frame.get_payload_as_bytes()), send_prebuilt if is_prebuilt else send)
                )

    async def main() -> None:
        await ws_create_server(lambda request: Subscriber(), "127.0.0.1", port, backlog=4096)

    run(main)


def granian_asgi(port: int) -> None:
    """A bare ASGI function on granian (Rust)."""
    _granian(port, "asgi")


def granian_rsgi(port: int) -> None:
    """granian's own interface."""
    _granian(port, "rsgi")


def _granian(port: int, interface: str) -> None:
    from granian import Granian
    from granian.constants import Interfaces

    Granian(
        f"{__name__}:{interface}_application",
        address="127.0.0.1",
        port=port,
        interface=Interfaces(interface),
        workers=1,
        runtime_threads=1,
        backlog=4096,
        log_enabled=False,
    ).serve()


_sends: set[Any] = set()
"""How each websocket of granian's worker is sent a message."""


async def asgi_application(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """For granian."""
    if scope["type"] != "websocket":
        return
    await receive()
    await send({"type": "websocket.accept"})
    _sends.add(send)

    async def broadcast() -> None:
        for other in _sends:
            await other({"type": "websocket.send", "text": MESSAGE})

    while (message := await receive())["type"] == "websocket.receive":
        _sends.discard(send)
        await repeat(int(message["text"]), broadcast)
    _sends.discard(send)


async def rsgi_application(scope: Any, protocol: Any) -> None:
    """For granian."""
    transport = await protocol.accept()
    _sends.add(transport.send_str)

    async def broadcast() -> None:
        for other in _sends:
            await other(MESSAGE)

    while (message := await transport.receive()).kind:
        _sends.discard(transport.send_str)
        await repeat(int(message.data), broadcast)
    _sends.discard(transport.send_str)


def robyn(port: int) -> None:
    """Its own broadcast, which sends to the one who asks as well."""
    sys.argv[1:] = ["--log-level", "ERROR"]  # which it reads
    from robyn import Robyn

    app = Robyn(__file__)

    @app.websocket("/")
    async def subscriber(websocket: Any) -> None:
        while True:
            wish = await websocket.receive_text()
            await repeat(int(wish), lambda: websocket.broadcast(MESSAGE))

    app.start(host="127.0.0.1", port=port)


def socketify(port: int) -> None:
    """Publish and subscribe of uWebSockets (C++)."""
    from socketify import App, AppListenOptions, CompressOptions, OpCode

    app = App()

    def opened(ws: Any) -> None:
        ws.subscribe("room")

    async def message(ws: Any, wish: Any, opcode: OpCode) -> None:
        ws.unsubscribe("room")
        await repeat(int(wish), lambda: app.publish("room", MESSAGE, OpCode.TEXT))

    app.ws("/", {"compression": CompressOptions.DISABLED, "idle_timeout": 0, "open": opened, "message": message})
    app.listen(AppListenOptions(port=port, host="127.0.0.1"))
    app.run()
