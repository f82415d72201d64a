"""What type checkers know of an application, its configuration, its context, and a request of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import reveal_type

from fairlead import App, Blueprint, Config, Request, text
from fairlead.response import HTTPResponse


class Settings(Config):
    """Configuration with a value of the application's own."""

    shop_name: str


@dataclass
class Ctx:
    """What the application keeps."""

    visits: list[int] = field(default_factory=list[int])


@dataclass
class RequestCtx:
    """What middleware leaves for handlers."""

    user: str


ShopApp = App[Settings, Ctx]
ShopRequest = Request[ShopApp, RequestCtx]

plain = App("plain")
reveal_type(plain)  # App[Config, SimpleNamespace]
reveal_type(plain.config)  # Config

app: ShopApp = App("shop", Settings(), Ctx())
reveal_type(app.config.shop_name)  # str
reveal_type(app.ctx.visits)  # list[int]
reveal_type(App("inferred", Settings(), Ctx()))  # App[Settings, Ctx]

shop = Blueprint("shop")


@app.get("/")
async def index(request: ShopRequest) -> HTTPResponse:
    """A handler."""
    reveal_type(request.app.ctx.visits)  # list[int]
    reveal_type(request.app.config.shop_name)  # str
    reveal_type(request.ctx.user)  # str
    return text("hello")


@shop.post("/<name>")
async def named(request: Request, name: str) -> HTTPResponse:
    """A handler that says nothing of its application."""
    reveal_type(request)  # Request[Any, SimpleNamespace]
    reveal_type(request.args.get("page"))  # str | None
    reveal_type(request.args.getlist("tag"))  # list[str]
    reveal_type(request.form.get("name", 0))  # str | int
    file = request.files.get("photo")
    reveal_type(file)  # File | None
    reveal_type(request.cookies.get("session"))  # str | None
    reveal_type(request.headers.get("accept"))  # str | None
    reveal_type(request.token)  # str | None
    reveal_type(request.id)  # str
    reveal_type(await app.run_blocking(len, name))  # int
    reveal_type(Request.get_current().path)  # str
    if file is not None:
        reveal_type(await file.read())  # bytes
    async for part in request.parts():
        reveal_type(part.filename)  # str | None
    return text(name)


reveal_type(index)  # (request: Request[App[Settings, Ctx], RequestCtx]) -> Coroutine[Any, Any, HTTPResponse]
