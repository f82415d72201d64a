"""One intention, one effect: replays, requests in flight, other requests under a key, failures (draft, §2)."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from msgspec import Struct

from fairlead import App, Body, File, Form, HTTPResponse, Request, json, responds, text
from fairlead.errors import Conflict
from fairlead.idempotency import Idempotency, MemoryStore
from fairlead.testing import AsyncTestClient


class Order(Struct):
    name: str
    plan: list[File] = []


class Shop:
    """An app whose handlers note that they ran, and can be made to wait."""

    def __init__(self, store: Any, **options: Any) -> None:
        self.runs: list[str] = []
        self.inside, self.go_on = asyncio.Event(), asyncio.Event()
        self.app: App[Any, Any] = App("shop")
        self.app.ctx.answers = store
        once = Idempotency(lambda app: app.ctx.answers, **options)

        @self.app.on_request
        async def sign_in(request: Request[Any, Any]) -> None:
            if "x-user" in request.headers:
                request.ctx.principal = SimpleNamespace(subject=request.headers["x-user"])

        @self.app.post("/orders/<kind:str>")
        @once
        async def order(request: Request[Any, Any], kind: str, amount: Body[int]) -> HTTPResponse:
            self.runs.append(kind)
            return json({"kind": kind, "amount": amount, "run": len(self.runs)}, 201, headers={"Location": "/orders/1"})

        @self.app.put("/plain")
        @once
        def plain(request: Request[Any, Any]) -> dict[str, int]:
            self.runs.append("plain")
            return {"run": len(self.runs)}

        @self.app.post("/slow")
        @once
        async def slow(request: Request[Any, Any]) -> str:
            self.runs.append("slow")
            self.inside.set()
            await self.go_on.wait()
            return "done"

        @self.app.post("/fail/<status:int>")
        @once
        async def fail(request: Request[Any, Any], status: int) -> HTTPResponse:
            self.runs.append("fail")
            if len(self.runs) > 1:
                return text("better now")
            if status == 409:
                raise Conflict("not now")
            if status == 500:
                raise RuntimeError("broken")
            return text("no", status)

        @self.app.post("/long/<size:int>")
        @once
        async def long(request: Request[Any, Any], size: int) -> str:
            self.runs.append("long")
            return "x" * size

        @self.app.post("/stream")
        @once
        async def stream(request: Request[Any, Any]) -> None:
            self.runs.append("stream")
            await (await request.respond()).send("streamed")

        @self.app.post("/empty")
        @once
        async def empty(request: Request[Any, Any]) -> None:
            self.runs.append("empty")


async def send(
    client: AsyncTestClient, path: str = "/orders/tea", body: Any = 5, key: str = '"k-1"', **headers: str
) -> httpx.Response:
    fields = {"idempotency-key": key} | {name.replace("_", "-"): value for name, value in headers.items()}
    return await client.post(path, json=body, headers=fields)


async def test_a_replay(store: Any) -> None:
    """The same request again: the same answer to the byte, its fields included, and nothing is done."""
    shop = Shop(store)
    async with AsyncTestClient(shop.app) as client:
        first, second = await send(client), await send(client)
        third = await send(client, key='"k-2"')
    assert (first.status_code, first.json()) == (201, {"kind": "tea", "amount": 5, "run": 1})
    assert (second.status_code, second.content, second.headers["location"]) == (201, first.content, "/orders/1")
    assert second.headers["content-type"] == first.headers["content-type"]
    assert [response.headers.get("idempotent-replayed") for response in (first, second, third)] == [None, "true", None]
    assert shop.runs == ["tea", "tea"]


async def test_other_requests_under_a_key(store: Any) -> None:
    """Another body or another path: 422, and it is not done."""
    shop = Shop(store)
    async with AsyncTestClient(shop.app) as client:
        await send(client)
        for path, body in (("/orders/tea", 6), ("/orders/rum", 5), ("/orders/tea?x=1", 5), ("/slow", 5)):
            response = await send(client, path, body)
            assert (response.status_code, response.headers["content-type"]) == (422, "application/problem+json")
    assert shop.runs == ["tea"]


async def test_in_flight(store: Any) -> None:
    """While the first is being handled: 409 with Retry-After; afterwards its answer."""
    shop = Shop(store)
    async with AsyncTestClient(shop.app) as client:
        first = asyncio.create_task(send(client, "/slow"))
        await shop.inside.wait()
        early = await send(client, "/slow")
        assert (early.status_code, early.headers["retry-after"]) == (409, "1")
        shop.go_on.set()
        assert (await first).text == "done"
        assert (await send(client, "/slow")).text == "done"
    assert shop.runs == ["slow"]


async def test_many_at_once(store: Any) -> None:
    """Twenty copies of a request at the same moment: one is done; the others hear 409 or the answer."""
    shop = Shop(store)
    async with AsyncTestClient(shop.app) as client:
        responses = await asyncio.gather(*(send(client) for _ in range(20)))
    assert shop.runs == ["tea"]
    assert {response.status_code for response in responses} <= {201, 409}
    assert [response.status_code for response in responses if "idempotent-replayed" not in response.headers].count(201) == 1


async def test_a_client_that_leaves(store: Any) -> None:
    """The handler is cancelled, and the key is free for the next try."""
    shop = Shop(store)
    async with AsyncTestClient(shop.app) as client:
        first = asyncio.create_task(send(client, "/slow"))
        await shop.inside.wait()
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
        shop.go_on.set()
        while (again := await send(client, "/slow")).status_code == 409:
            pass
        assert again.text == "done"
    assert shop.runs == ["slow", "slow"]


@pytest.mark.parametrize(("status", "runs"), [(404, 1), (200, 1), (503, 2), (500, 2), (409, 2)])
async def test_failures(store: Any, status: int, runs: int) -> None:
    """An answer below 500 is kept; after an exception and from 500 on the client may try again."""
    shop = Shop(store)
    async with AsyncTestClient(shop.app) as client:
        assert (await send(client, f"/fail/{status}")).status_code == status
        assert (await send(client, f"/fail/{status}")).text == ("better now" if runs == 2 else "no")
    assert len(shop.runs) == runs


async def test_other_kinds_of_answers(store: Any) -> None:
    """Plain values, plain functions, nothing at all."""
    shop = Shop(store)
    async with AsyncTestClient(shop.app) as client:
        for _ in range(2):
            assert (await client.put("/plain", headers={"idempotency-key": "p"})).json() == {"run": 1}
            assert (await send(client, "/empty")).status_code == 204
    assert shop.runs == ["plain", "empty"]


@pytest.mark.parametrize(("path", "first", "again"), [("/long/10", 200, 200), ("/long/11", 200, 409), ("/stream", 200, 409)])
async def test_what_is_not_kept(store: Any, path: str, first: int, again: int) -> None:
    """Too long, or streamed: sent, and remembered as done."""
    shop = Shop(store, max_body_bytes=10)
    async with AsyncTestClient(shop.app) as client:
        assert [(await send(client, path)).status_code for _ in range(2)] == [first, again]
    assert len(shop.runs) == 1


async def test_scopes(store: Any) -> None:
    """A key belongs to its account: another's same key is another key, and shows nothing (SEC-A01)."""
    shop = Shop(store)
    async with AsyncTestClient(shop.app) as client:
        runs = [(await send(client, x_user=user)).json()["run"] for user in ("ada", "bob", "ada", "1", "")]
    assert runs == [1, 2, 1, 3, 4]


async def test_a_scope_can_not_pass_for_another(store: Any) -> None:
    """Account "a" with key "bc" is not account "ab" with key "c"."""
    shop = Shop(store)
    async with AsyncTestClient(shop.app) as client:
        runs = [(await send(client, key=key, x_user=user)).json()["run"] for user, key in (("a", "bc"), ("ab", "c"))]
    assert runs == [1, 2]


@pytest.mark.parametrize("above", [True, False])
async def test_the_status_of_responds(above: bool) -> None:
    """`@responds` gives the answer its status and fields, the kept one too, above the key's decorator and below it."""
    app: App[Any, Any] = App("app")
    once, created = Idempotency(MemoryStore()), responds(201, headers={"x-made": "yes"})

    async def order(request: Request[Any, Any], amount: Body[dict[str, int]]) -> dict[str, int]:
        return amount

    app.post("/orders")(created(once(order)) if above else once(created(order)))
    async with AsyncTestClient(app) as client:
        for replayed in (None, "true"):
            answer = await client.post("/orders", json={"tea": 5}, headers={"idempotency-key": "k"})
            assert (answer.status_code, answer.headers["x-made"], answer.json()) == (201, "yes", {"tea": 5})
            assert answer.headers.get("idempotent-replayed") == replayed


@pytest.mark.parametrize("declared", [True, False])
@pytest.mark.parametrize("multipart", [True, False])
async def test_forms(declared: bool, multipart: bool) -> None:
    """A form is the same when it says the same, though each attempt has a boundary of its own; `Form[T]` streams its body."""
    app: App[Any, Any] = App("app")
    once = Idempotency(MemoryStore())

    async def validated(request: Request[Any, Any], form: Form[Order]) -> HTTPResponse:
        return text(f"{form.name} {[await file.read() for file in form.plan]}")

    async def plain(request: Request[Any, Any]) -> HTTPResponse:
        return text(f"{request.form.get('name')} {[file.body for file in request.files.getlist('plan', [])]}")

    app.post("/orders")(once(validated if declared else plain))

    def sent(name: str, plan: bytes) -> dict[str, Any]:
        return {"data": {"name": name}, "headers": {"idempotency-key": "k"}} | ({"files": {"plan": plan}} if multipart else {})

    async with AsyncTestClient(app) as client:
        first, again = [await client.post("/orders", **sent("ada", b"a plan")) for _ in range(2)]
        assert (first.status_code, first.text) == (200, "ada [b'a plan']" if multipart else "ada []")
        assert (again.status_code, again.text, again.headers["idempotent-replayed"]) == (200, first.text, "true")
        others = [sent("eve", b"a plan"), *([sent("ada", b"a plot")] if multipart else [])]
        assert {(await client.post("/orders", **other)).status_code for other in others} == {422}


async def test_a_streaming_route() -> None:
    """Its body is not there yet, so two requests can't be told apart: refused, rather than answered with another's answer."""
    app: App[Any, Any] = App("app")

    @app.post("/upload", stream=True)
    @Idempotency(MemoryStore())
    async def upload(request: Request[Any, Any]) -> HTTPResponse:
        await request.receive_body()
        return text(request.body.decode())

    async with AsyncTestClient(app) as client:
        assert (await client.post("/upload", content=b"a", headers={"idempotency-key": "k"})).status_code == 500
        assert (await client.post("/upload", content=b"a")).text == "a"


async def test_without_a_key(store: Any) -> None:
    """As ever; 400 where one is required."""
    async with AsyncTestClient(Shop(store).app) as client:
        assert [(await client.post("/orders/tea", json=5)).json()["run"] for _ in range(2)] == [1, 2]
    async with AsyncTestClient(Shop(store, required=True).app) as client:
        assert (await client.post("/orders/tea", json=5)).status_code == 400


@pytest.mark.parametrize("body", ['"x"', "{", ""])
async def test_a_body_that_is_not_valid(body: str) -> None:
    """Is refused before the key is claimed: the client corrects it and sends it under the same key."""
    shop = Shop(store := MemoryStore())
    async with AsyncTestClient(shop.app) as client:
        headers = {"idempotency-key": "k", "content-type": "application/json"}
        assert (await client.post("/orders/tea", content=body, headers=headers)).status_code in (400, 422)
        assert len(store) == 0
        assert (await client.post("/orders/tea", content="5", headers=headers)).status_code == 201


@pytest.mark.parametrize(
    ("key", "status"),
    [
        ('"8e03978e-40d5-43dd-bc93-6894a57f9324"', 201),
        ("8e03978e-40d5-43dd-bc93-6894a57f9324", 201),
        ('"spaces inside"', 201),
        (r'"with \"quotes\" and \\"', 201),
        ('"' + "x" * 255 + '"', 201),
        ("x" * 255, 201),
        ("x" * 256, 400),
        ('"' + "x" * 256 + '"', 400),
        ('""', 400),
        ("", 400),
        ('"open', 400),
        ('"a"b"', 400),
        (r'"\x"', 400),
        ('"a";b=1', 400),
        ("two words", 400),
        ("größe", 400),
        ('"größe"', 400),
        ('"tab\there"', 400),
    ],
)
async def test_keys(key: str, status: int) -> None:
    """A text in quotes (RFC 9651), or a plain one as many clients send it; anything else is 400."""
    async with AsyncTestClient(Shop(MemoryStore()).app) as client:
        fields = [(b"idempotency-key", key.encode("latin-1"))]
        assert (await client.post("/orders/tea", json=5, headers=fields)).status_code == status


async def test_quotes_are_no_part_of_a_key() -> None:
    """`"k"` and `k` are one key; two fields are none."""
    shop = Shop(MemoryStore())
    async with AsyncTestClient(shop.app) as client:
        assert [(await send(client, key=key)).json()["run"] for key in ('"k"', "k", r'"\"k"')] == [1, 1, 2]
        two = [("idempotency-key", "a"), ("idempotency-key", "a")]
        assert (await client.post("/orders/tea", json=5, headers=two)).status_code == 400
