"""What type checkers know of validated values, dependencies, and what decorators make of handlers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated, reveal_type

from msgspec import Meta, Struct

from fairlead import App, Body, Cookie, File, Form, Header, Path, Query, Request, inject, openapi, responds, validate
from fairlead.testing import AsyncTestClient, override_dependencies


class New(Struct):
    """A body."""

    name: str


class Upload(Struct):
    """A form."""

    photo: File
    title: str = ""


class Store:
    """A dependency."""

    async def add(self, new: New) -> int:
        """Something to await."""
        return len(new.name)


async def open_store() -> AsyncIterator[Store]:
    """A provider."""
    yield Store()


app = App("shop")
app.add_dependency(Store, open_store, scope="worker")
app.dependency(7, kind=int)


@app.post("/<shelf:int>")
@responds(201)
@openapi.tag("shop")
async def create(
    request: Request,
    store: Store,
    new: Body[New],
    tags: Query[list[str]],
    x_trace: Header[str],
    session: Cookie[str | None] = None,
    shelf: Path[Annotated[int, Meta(ge=1)]] = 1,
) -> list[int]:
    """Every kind of value."""
    reveal_type(new)  # New
    reveal_type(tags)  # list[str]
    reveal_type(x_trace)  # str
    reveal_type(session)  # str | None
    reveal_type(shelf)  # int
    reveal_type(await store.add(new))  # int
    return [shelf]


@app.post("/upload")
async def upload(request: Request, form: Form[Upload]) -> None:
    """A form."""
    reveal_type(form.photo.name)  # str


@app.post("/validated")
@validate(json=New)
async def validated(request: Request, body: New) -> None:
    """By the decorator."""


@app.on_request
@inject
async def before(request: Request, store: Store) -> None:
    """Middleware."""


async def use_it() -> None:
    """A test."""
    with override_dependencies(app, {Store: Store()}):
        async with AsyncTestClient(app) as client:
            reveal_type((await client.get("/")).status_code)  # int
            async with client.websocket("/ws") as ws:
                reveal_type(await ws.recv())  # str | bytes
