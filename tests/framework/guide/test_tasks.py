"""Sanic's guide, chapter Background tasks: runs on Sanic and on Fairlead (S; see framework.py)."""

from __future__ import annotations

import asyncio
from typing import Any

from tests.framework.guide.framework import App, json


def test_adding() -> None:
    """Coroutines, functions, and functions that take the app, before the start and in handlers; the task can be awaited."""
    app, seen = App("adding"), []

    async def plain() -> None:
        seen.append("coroutine")

    async def injected(app: Any) -> None:
        seen.append(app.name)

    async def result() -> int:
        return 7

    app.add_task(plain())
    app.add_task(plain)
    app.add_task(injected)
    app.add_task(injected(app))

    @app.get("/")
    async def handler(request: Any) -> Any:
        return json(await request.app.add_task(result()))

    assert app.test_client.get("/")[1].json == 7
    assert sorted(seen) == ["adding", "adding", "coroutine", "coroutine"]


def test_named() -> None:
    """`get_task`, `cancel_task`, `purge_tasks`, and all of them in `tasks`."""
    app = App("named")

    async def slow_work() -> None:
        await asyncio.Event().wait()

    @app.before_server_start
    async def start(app: Any) -> None:
        app.add_task(slow_work, name="slow_task")

    @app.get("/")
    async def handler(request: Any) -> Any:
        task = app.get_task("slow_task")
        found = [task.get_name(), task in list(app.tasks), task.done()]
        await app.cancel_task("slow_task")
        found.append(task.cancelled())
        app.purge_tasks()
        found.append(app.get_task("slow_task", raise_exception=False) is None)
        return json(found)

    assert app.test_client.get("/")[1].json == ["slow_task", True, False, True, True]


def test_shutdown() -> None:
    """A task that still runs at the end is cancelled."""
    app, seen = App("shutdown"), []

    async def endless() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            seen.append("ended")

    @app.get("/")
    async def handler(request: Any) -> Any:
        app.add_task(endless, name="endless")
        await asyncio.sleep(0)
        return json(app.get_task("endless").done())

    assert app.test_client.get("/")[1].json is False
    assert seen == ["ended"]
