"""`worker_count`: waits for a service's `/readyz`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest

from fairlead.local import LocalError
from fairlead.local.plan import Service
from fairlead.local.ports import free_port
from fairlead.local.readiness import worker_count

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n"


@asynccontextmanager
async def probe(*answers: bytes) -> AsyncIterator[Service]:
    """A service whose management port gives these answers, one after the other, the last one for ever."""
    left = list(answers)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(left.pop(0) if len(left) > 1 else left[0])
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        yield Service(name="shop", target="m:n", port=free_port(), management_port=port)


async def test_becomes_ready() -> None:
    """It asks until the service is ready with every worker and gives their number."""
    half = HEAD + b'{"ok": true, "reason": "ok", "workers": [{"state": "ready"}, {"state": "starting"}]}'
    waiting = HEAD + b'{"ok": false, "reason": "no worker is ready", "workers": []}'
    ready = HEAD + b'{"ok": true, "reason": "ok", "workers": [{"state": "ready"}, {"state": "ready"}]}'
    async with probe(waiting, b"", half, ready) as service:
        assert 2 == await worker_count(service, 10)


async def test_never_ready() -> None:
    """The service's own reason is in the message."""
    async with probe(HEAD + b'{"ok": false, "reason": "postgres: away", "workers": []}') as service:
        with pytest.raises(LocalError, match="shop is not ready after 0 s: postgres: away"):
            await worker_count(service, 0.2)


async def test_nobody_there() -> None:
    """A management port that does not answer is a reason too."""
    service = Service(name="shop", target="m:n", port=free_port(), management_port=free_port())
    with pytest.raises(LocalError, match="its management port does not answer"):
        await worker_count(service, 0.2)
