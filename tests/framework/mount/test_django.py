"""Django's ASGI handler below a prefix, with sync views: they run in its threads."""

from __future__ import annotations

import threading
from typing import Any

import django
import httpx
import pytest
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.http import HttpRequest, HttpResponse, JsonResponse, StreamingHttpResponse
from django.urls import clear_url_caches, path, reverse

from fairlead import App
from tests.framework.asgi.servers import Serve


def show(request: HttpRequest, number: int) -> JsonResponse:
    return JsonResponse(
        {
            "number": number,
            "path": request.path,
            "path_info": request.path_info,
            "url": request.build_absolute_uri(),
            "reverse": reverse("show", args=[5]),
            "in_thread": threading.current_thread() is not threading.main_thread(),
            "address": request.META["REMOTE_ADDR"],
        }
    )


def echo(request: HttpRequest) -> HttpResponse:
    response = HttpResponse(request.POST.get("name", "") or request.body)
    response.set_cookie("a", "1")
    response.set_cookie("b", "2")
    return response


def stream(request: HttpRequest) -> StreamingHttpResponse:
    async def pieces() -> Any:
        yield b"one,"
        yield b"two"

    return StreamingHttpResponse(pieces())


urlpatterns = [path("items/<int:number>", show, name="show"), path("echo", echo), path("stream", stream)]


@pytest.fixture(scope="module")
def application() -> Any:
    """The handler of a project that is this module."""
    if settings.configured:  # by another module's test: Django knows one project in a process
        settings.ROOT_URLCONF = __name__
        clear_url_caches()
    else:
        settings.configure(ROOT_URLCONF=__name__, ALLOWED_HOSTS=["*"], SECRET_KEY="tests only", LOGGING_CONFIG=None)
        django.setup()
    return get_asgi_application()


async def test_django(serve: Serve, application: Any) -> None:
    """URLs are made with the prefix, forms and raw bodies arrive, cookies are separate, streams are whole."""
    app = App("outer")
    app.mount("/django", application)
    async with serve(app) as url, httpx.AsyncClient(base_url=url, timeout=5) as client:
        assert (await client.get("/django/items/7?q=1")).json() == {
            "number": 7,
            "path": "/django/items/7",
            "path_info": "/items/7",
            "url": f"{url}/django/items/7?q=1",
            "reverse": "/django/items/5",
            "in_thread": True,
            "address": "127.0.0.1",
        }
        form = await client.post("/django/echo", data={"name": "Zoë"})
        assert (form.text, len(form.headers.get_list("set-cookie"))) == ("Zoë", 2)
        large = b"x" * 500_000
        assert (
            await client.post("/django/echo", content=large, headers={"content-type": "application/octet-stream"})
        ).content == large
        assert (await client.get("/django/stream")).text == "one,two"
        assert (await client.get("/django/nothing")).status_code == 404
