"""docs/guide/idempotency.md: every block runs and does what the text around it says (P9)."""

from __future__ import annotations

import asyncpg

from fairlead.idempotency import schema
from fairlead.testing import AsyncTestClient

from .page import Page

PAGE = Page("guide/idempotency.md")
KEY = {"idempotency-key": '"8e03978e-40d5-43dd-bc93-6894a57f9324"'}


def test_no_block_is_left_out() -> None:
    """A block that is added to the page needs a test here."""
    assert len(PAGE.blocks) == 2


async def test_orders() -> None:
    """The table of the page: replay, another request, no key, no such key."""
    async with AsyncTestClient(PAGE.run('App("orders")')["app"]) as client:
        first, again = [await client.post("/orders", json={"tea": 1}, headers=KEY) for _ in range(2)]
        assert (first.json(), again.json(), again.headers["idempotent-replayed"]) == ({"number": 1}, {"number": 1}, "true")
        assert (await client.post("/orders", json={"tea": 2}, headers=KEY)).status_code == 422
        assert (await client.post("/orders", json={"tea": 1}, headers={"idempotency-key": "x" * 256})).status_code == 400
        assert (await client.post("/orders", json={"tea": 1})).json() == {"number": 2}


async def test_payments(postgres_url: str) -> None:
    """One row and one answer, however often it is sent; without a key 400."""
    connection = await asyncpg.connect(postgres_url)
    for statement in (schema.CREATE, schema.CREATE_INDEX, "CREATE TABLE payments (cents int)"):
        await connection.execute(statement)
    async with AsyncTestClient(PAGE.run("def build_app")["build_app"](postgres_url)) as client:
        statuses = [(await client.post("/payments", json={"cents": 5}, headers=KEY)).status_code for _ in range(3)]
        assert (await client.post("/payments", json={"cents": 5})).status_code == 400
    assert (statuses, await connection.fetchval("SELECT count(*) FROM payments")) == ([201] * 3, 1)
    await connection.close()
