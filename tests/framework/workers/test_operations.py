"""A running service operated through its management socket, and workers that are replaced for having lived (mission K5)."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

from tests.framework.workers.conftest import Operator


async def test_scaling_up_and_down(start: Any, operator: Operator) -> None:
    """K5: more workers share the load, fewer go on serving; none of the requests on the way is lost."""
    service = await (await start("--workers", "1", FAIRLEAD_MANAGEMENT_SOCKET=str(operator.socket))).ready()
    first = service.worker_pid()
    assert await operator("scale", "3") == (0, "done")
    assert len({(await service.get("/pid"))[1] for _ in range(60)}) == 3
    slow = [await service.connect("/slow/0.5") for _ in range(12)]
    assert await operator("scale", "1") == (0, "done")
    assert {await connection.answer() for connection in slow} == {(200, "slow and whole")}
    assert {await service.get("/pid") for _ in range(5)} == {(200, str(first))}
    assert service.processes() == [first]
    await service.event("workers are scaled", count=2)
    assert [line["workers"] for line in service.find("workers are scaled")] == [3, 1]


async def test_a_worker_that_fails_to_start_is_not_added(start: Any, operator: Operator) -> None:
    """K5: the answer says why, the others serve on, and no connection waits at a slot that nobody serves."""
    broken = "\nif os.path.exists('broken'):\n    raise RuntimeError('out of luck')\n"
    service = await (await start("--workers", "1", more=broken, FAIRLEAD_MANAGEMENT_SOCKET=str(operator.socket))).ready()
    (service.folder / "broken").touch()
    status, said = await operator("scale", "2")
    assert (status, said.splitlines()[-1]) == (1, "service_under_test:app cannot start: RuntimeError: out of luck")
    assert {await service.get("/") for _ in range(20)} == {(200, "hello")}
    assert (await operator("reload"))[0] == 1
    assert (await operator("status"))[1].count("ready") == 2  # the service and its worker


async def test_reload_status_and_stop(start: Any, operator: Operator) -> None:
    """K5: each command returns when it has been carried out; the socket is the owner's alone and goes with the service."""
    service = await (await start("--workers", "2", FAIRLEAD_MANAGEMENT_SOCKET=str(operator.socket))).ready()
    before = {service.worker_pid(0), service.worker_pid(1)}
    assert operator.socket.stat().st_mode & 0o777 == 0o600
    assert await operator("reload") == (0, "done")
    await service.event("worker is ready", count=4)
    assert not before & {service.worker_pid(0), service.worker_pid(1)}
    code, table = await operator("status")
    assert (code, table.splitlines()[0]) == (0, "tested: ready")
    assert [line.split()[:4] for line in table.splitlines()[2:]] == [
        ["0", "ready", str(service.worker_pid(0)), "1"],
        ["1", "ready", str(service.worker_pid(1)), "1"],
    ]
    assert await operator("stop") == (0, "done")
    assert await service.exit_status() == 0
    assert not operator.socket.exists()
    code, said = await operator("status")
    assert (code, "no service answers" in said) == (1, True)


async def test_commands_are_not_for_the_network(start: Any, operator: Operator) -> None:
    """K5: over TCP there is nothing that could change the service."""
    service = await (await start(FAIRLEAD_MANAGEMENT_SOCKET=str(operator.socket))).ready()
    reader, writer = await asyncio.open_connection("127.0.0.1", service.port("management"))
    writer.write(b"POST /stop HTTP/1.1\r\nHost: tested\r\nConnection: close\r\n\r\n")
    assert (await reader.read()).startswith(b"HTTP/1.1 404 ")
    writer.close()
    assert await service.get("/") == (200, "hello")


async def test_a_socket_that_cannot_be_had(start: Any, tmp_path: Path) -> None:
    """K7: one that was asked for by name is a condition, and the cause is one line."""
    service = await start(FAIRLEAD_MANAGEMENT_SOCKET=str(tmp_path / "nowhere" / "m.sock"))
    assert await service.exit_status() == 1
    assert "No such file or directory" in service.stderr
    assert service.processes() == []


async def test_a_worker_is_recycled_after_its_requests(start: Any) -> None:
    """K5: the new one first, with its cause in the log, and every request is answered."""
    service = await (await start(FAIRLEAD_WORKER_MAX_REQUESTS="5")).ready()
    before = service.worker_pid()
    assert {await service.get("/") for _ in range(10)} == {(200, "hello")}
    line = await service.event("worker is being replaced")
    assert (line["cause"], line["worker_pid"]) == ("10 requests answered", before)
    await service.event("worker has stopped", worker_pid=before)
    assert await service.get("/pid") == (200, str(service.worker_pid()))
    assert os.path.exists(f"/proc/{service.worker_pid()}")


async def test_a_dump_shows_threads_and_tasks(start: Any, operator: Operator) -> None:
    """Issue 6: what every thread does and where every task waits, the handler of a slow request among them."""
    service = await (await start("--workers", "1", FAIRLEAD_MANAGEMENT_SOCKET=str(operator.socket))).ready()
    slow = await service.connect("/slow/30")
    await service.in_flight(1)
    status, said = await operator("dump")
    assert status == 0
    assert "thread MainThread" in said
    assert "in slow" in said
    assert (await operator("dump", "--worker", "7"))[0] == 1
    slow.close()


async def test_a_profile_shows_where_time_goes(start: Any, operator: Operator, tmp_path: Path) -> None:
    """Issue 6: the handler that keeps the loop busy is in the profile; one at a time; as text or as a page."""
    service = await (await start("--workers", "1", FAIRLEAD_MANAGEMENT_SOCKET=str(operator.socket))).ready()
    profile = asyncio.create_task(operator("profile", "--seconds", "3", "--html", str(tmp_path / "profile.html")))
    second = (1, "")
    while not profile.done():
        await service.get("/block/0.2")
        if "already" not in second[1]:
            second = await operator("profile", "--seconds", "0.1")
    assert await profile == (0, f"written to {tmp_path / 'profile.html'}")
    assert "block" in (tmp_path / "profile.html").read_text()
    assert await operator("profile", "--seconds", "0.2") != second
    assert (await operator("profile", "--seconds", "1000"))[0] == 1
