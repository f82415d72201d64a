"""`Wire`: a server that goes away when a test says so."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from fairlead.testing.wire import Wire


@pytest.fixture
async def echo() -> AsyncIterator[str]:
    """The URL of a server that sends back what it gets."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(100):
            writer.write(data)
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    yield f"echo://user:p%40ss@127.0.0.1:{port}/path?query=1"
    server.close()


async def say(wire: Wire, text: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", wire.port)
    try:
        writer.write(text)
        return await reader.read(100)
    finally:
        writer.close()


async def ended(reader: asyncio.StreamReader) -> bool:
    """Whether the connection is over, by a reset or in an orderly way."""
    try:
        return await reader.read(100) == b""
    except ConnectionError:
        return True


async def test_it_carries_both_ways(echo: str) -> None:
    """What is sent arrives, and so does the answer."""
    async with Wire(echo) as wire:
        assert await say(wire, b"hello") == b"hello"


async def test_the_url_leads_over_the_wire(echo: str) -> None:
    """Only host and port are different."""
    async with Wire(echo) as wire:
        assert wire.url == f"echo://user:p%40ss@127.0.0.1:{wire.port}/path?query=1"


async def test_cut_and_mended(echo: str) -> None:
    """A cut ends connections and refuses new ones; mended, the same port answers again."""
    async with Wire(echo) as wire:
        port = wire.port
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"hello")
        assert await reader.read(100) == b"hello"
        await wire.cut()
        assert await ended(reader)
        with pytest.raises(ConnectionRefusedError):
            await say(wire, b"hello")
        await wire.mend()
        await wire.mend()
        assert wire.port == port
        assert await say(wire, b"hello") == b"hello"
        writer.close()


async def test_silence_holds_back(echo: str) -> None:
    """A silent wire accepts and carries nothing; when it speaks again, what was held back arrives."""
    async with Wire(echo) as wire:
        wire.silence()
        answer = asyncio.create_task(say(wire, b"hello"))
        done, _ = await asyncio.wait({answer}, timeout=0.05)
        assert not done
        wire.speak()
        assert await answer == b"hello"


async def test_a_server_that_is_really_away() -> None:
    """The client's connection ends as if there were no wire between."""
    async with Wire("echo://127.0.0.1:1") as wire:
        reader, writer = await asyncio.open_connection("127.0.0.1", wire.port)
        assert await ended(reader)
        writer.close()


async def test_cut_twice(echo: str) -> None:
    """A wire that is cut already stays cut, and is mended by one mend."""
    async with Wire(echo) as wire:
        await wire.cut()
        await wire.cut()
        with pytest.raises(ConnectionRefusedError):
            await say(wire, b"hello")
        await wire.mend()
        assert await say(wire, b"hello") == b"hello"
