"""Writing an event: only in a transaction, with the trace context of the request, woken by NOTIFY at the commit."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from types import MappingProxyType, SimpleNamespace
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from fairlead import outbox
from fairlead.http.trace_context import caller_trace
from fairlead.outbox.entry import CHANNEL
from fairlead.postgres import Database
from fairlead.request import current_request

from .conftest import Outbox

TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


async def test_outside_a_transaction_it_is_refused(box: Outbox) -> None:
    """An event that would not share the fate of its change is a mistake of the program."""
    async with box.database.connection() as connection:
        with pytest.raises(RuntimeError, match="needs the transaction"):
            await outbox.write(connection, box.stream, "thing.changed", {})
    assert await box.rows() == []


@pytest.mark.parametrize("name", ["event", "id", "traceparent"])
async def test_reserved_names_are_refused(box: Outbox, name: str) -> None:
    """A payload's member may not hide a field that every entry has."""
    async with box.database.transaction() as connection:
        with pytest.raises(ValueError, match=f"reserved names: {name}"):
            await outbox.write(connection, box.stream, "thing.changed", {name: 1, "other": 2})
    assert await box.rows() == []


@pytest.mark.parametrize("payload", [{}, {"thing": {"n": 1}}, MappingProxyType({"thing": None})])
async def test_any_mapping_is_a_payload(box: Outbox, payload: Mapping[str, Any]) -> None:
    """The id that is returned is the row's."""
    async with box.database.transaction() as connection:
        event_id = await outbox.write(connection, box.stream, "thing.changed", payload)
    assert isinstance(event_id, UUID)
    assert await box.rows() == [str(event_id)]


async def test_the_trace_context_goes_along(box: Outbox) -> None:
    """The traceparent of the request that is being handled is in the row; without a request it is empty."""
    request: Any = SimpleNamespace(id="r-1", trace=caller_trace([TRACEPARENT]))
    await box.write(n=1)
    token = current_request.set(request)
    await box.write(n=2)
    current_request.reset(token)
    rows = await box.database.fetch("SELECT traceparent FROM outbox ORDER BY sequence")
    assert [row["traceparent"] for row in rows] == ["", TRACEPARENT]


async def test_the_notification_comes_with_the_commit(box: Outbox, postgres_url: str) -> None:
    """Nobody is woken before the row can be seen, and nobody after a rollback."""
    heard: asyncio.Queue[int] = asyncio.Queue()
    listener = await asyncpg.connect(postgres_url)

    async def count(*_: Any) -> None:
        heard.put_nowait(await box.database.fetchval("SELECT count(*) FROM outbox"))

    await listener.add_listener(CHANNEL, count)

    async def write_and_fail() -> None:
        async with box.database.transaction() as connection:
            await outbox.write(connection, box.stream, "thing.changed", {})
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await write_and_fail()
    await box.write(n=1)
    assert await heard.get() == 1
    await listener.fetchval("SELECT 1")
    assert heard.empty()
    await listener.close()


async def test_a_row_by_hand_must_hold_an_object(database: Database) -> None:
    """What the relay could not turn into fields does not get into the table."""
    with pytest.raises(asyncpg.CheckViolationError):
        await database.execute("INSERT INTO outbox (id, stream, event, payload) VALUES (gen_random_uuid(), 's', 'e', '[]')")
