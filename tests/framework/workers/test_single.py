"""A single process: the same port, signals and drain, with a thread for a supervisor (missions K1, K2)."""

from __future__ import annotations

import asyncio
import signal
import socket
import sys
from pathlib import Path
from typing import Any

import pytest

from fairlead.management.app import CAUSE
from fairlead.workers.plan import Plan
from fairlead.workers.signals import SignalInbox
from fairlead.workers.single import NO_RELOAD, NO_SCALE, SingleFleet, Warden
from tests.framework.server.authority import Authority
from tests.framework.workers.conftest import MODULE, Operator


async def test_it_serves_and_drains(start: Any) -> None:
    """K2: probes and drain are those of a supervised service; there is one process."""
    service = await (await start("--single-process")).ready()
    assert service.find("service is ready")[0]["mode"] == "single process"
    assert await service.get("/pid") == (200, str(service.process.pid))
    assert await service.probe("/readyz") == (200, "ok\n")
    slow = await service.connect("/slow/1")
    await asyncio.sleep(0.1)
    service.signal(signal.SIGTERM)
    await service.event("service is draining", cause="SIGTERM")
    assert await service.probe("/readyz") == (503, "draining\n")
    assert await service.probe("/livez") == (200, "ok\n")
    assert await slow.answer() == (200, "slow and whole")
    assert await service.exit_status() == 0
    assert service.stderr == ""


async def test_the_script_serves_what_is_in_the_current_folder(start: Any) -> None:
    """P4: an installed `fairlead` does not have the folder that it is called in on its path; workers have it, and so has this."""
    script = str(Path(sys.executable).with_name("fairlead"))
    run = f"import os, sys; os.execv({script!r}, ['fairlead', *sys.argv[1:]])"
    options = ("--single-process", "--port", "0", "--management-port", "0", "--log-format", "json")
    service = await (await start(program=("-c", run, "serve", f"{MODULE}:app", *options))).ready()
    assert await service.get("/pid") == (200, str(service.process.pid))


async def test_an_app_object_serves_itself(start: Any) -> None:
    """T1: `python app.py` with `app.run()` is a single process."""
    code = """
from fairlead import App
from fairlead.response import text
app = App("alone")
@app.get("/")
def hello(request):
    return text("hello")
if __name__ == "__main__":
    app.run(port=0, management_port=0, log_format="json")
"""
    service = await start(code=code, program=("service_under_test.py",))
    await service.ready()
    assert service.find("service is ready")[0]["app"] == "alone"
    assert await service.get("/") == (200, "hello")
    service.signal(signal.SIGTERM)
    assert await service.exit_status() == 0


async def test_a_blocked_loop_fails_its_liveness(start: Any) -> None:
    """K1: the probes answer from the other thread, and tell of a loop that stands still."""
    service = await (await start("--single-process", FAIRLEAD_WORKER_HEARTBEAT_TIMEOUT="0.5")).ready()
    await service.connect("/block/3600")
    assert await service.answers("/readyz", 503) == "no worker is ready\n"
    assert "has not been heard of" in await service.answers("/livez", 503)


async def test_a_second_signal_ends_even_a_blocked_loop(start: Any) -> None:
    """K2: signals are handled by the thread that nothing blocks."""
    service = await (await start("--single-process")).ready()
    await service.connect("/block/3600")
    await service.event("event loop is blocked")
    service.signal(signal.SIGINT)
    await service.event("service is draining")
    await asyncio.sleep(0.3)  # signals that come together are one wish
    service.signal(signal.SIGINT)
    assert await service.exit_status() == 1


async def test_a_loop_that_does_not_drain_is_ended_at_the_deadline(start: Any) -> None:
    """K2: one deadline here, too."""
    service = await (await start("--single-process", "--graceful-shutdown-timeout", "0.2")).ready()
    await service.connect("/block/3600")
    await service.event("event loop is blocked")
    service.signal(signal.SIGTERM)
    assert await service.exit_status() == 0
    assert service.find("service was not done at the deadline") != []


async def test_sigterm_during_the_import(start: Any) -> None:
    """K3: nothing to lose, so it ends at once."""
    code = "import pathlib, time\npathlib.Path('importing').touch()\ntime.sleep(3600)\n"
    service = await start("--single-process", code=code)
    await service.file("importing")
    service.signal(signal.SIGTERM)
    assert await service.exit_status() == 0


async def test_sigterm_during_a_listener(start: Any) -> None:
    """K3: a start-up listener that waits is given up."""
    waiting = """
@app.before_server_start
async def wait(app):
    print('{"event": "waiting"}', flush=True)
    await asyncio.sleep(3600)
"""
    service = await start("--single-process", more=waiting)
    await service.event("waiting")
    service.signal(signal.SIGTERM)
    assert await service.exit_status() == 0


async def test_a_start_that_fails(start: Any) -> None:
    """K3: the same words and status as under a supervisor."""
    failing = "\n@app.before_server_start\nasync def connect(app):\n    raise RuntimeError('no route')\n"
    service = await start("--single-process", more=failing)
    assert await service.exit_status() == 1
    assert service.stderr.splitlines()[-1] == "fairlead: service_under_test:app cannot start: RuntimeError: no route"
    assert "in connect" in service.stderr


async def test_wrong_configuration(start: Any) -> None:
    """K7: one line, exit 2."""
    code = "from fairlead.errors import ConfigurationError\ndef app():\n    raise ConfigurationError('A is not set')\n"
    service = await start("--single-process", code=code)
    assert await service.exit_status() == 2
    assert service.stderr == "fairlead: A is not set\n"


async def test_sighup_is_explained(start: Any) -> None:
    """K5: there is nobody who could take over."""
    service = await (await start("--single-process")).ready()
    service.signal(signal.SIGHUP)
    await service.event(f"nothing is reloaded: {NO_RELOAD}")
    assert await service.get("/") == (200, "hello")


async def test_it_is_operated_like_any_other(start: Any, operator: Operator) -> None:
    """K1, K5: the same socket, status, probes and stop; what takes workers is refused with a word on what to do instead."""
    service = await (await start("--single-process", FAIRLEAD_MANAGEMENT_SOCKET=str(operator.socket))).ready()
    status, said = await operator("status")
    assert (status, str(service.process.pid) in said) == (0, True)
    assert await operator("scale", "2") == (1, NO_SCALE)
    assert await operator("reload") == (1, NO_RELOAD)
    slow = await service.connect("/slow/0.5")
    assert (await operator("stop"))[0] == 0
    assert await slow.answer() == (200, "slow and whole")
    assert await service.exit_status() == 0
    assert len(service.find("service is draining")) == 1
    assert not operator.socket.exists()


async def test_a_signal_after_the_command_to_stop() -> None:
    """K2: one drain, however often it is asked for."""
    fleet = SingleFleet(Plan("shop:app"))
    fleet.is_draining = True
    warden = Warden(Plan("shop:app"), fleet, SignalInbox(), pytest.fail, listener=socket.socket(), commands=None)
    assert await warden.stop("again") == ""
    warden._listener.close()


async def test_certificates_are_renewed_by_command(start: Any, operator: Operator, tmp_path: Path) -> None:
    """K5: what a single process can reload, it does: on SIGHUP and by command."""
    authority, folder = Authority(), tmp_path / "certificate"
    authority.issue(folder, "localhost")
    environment = {"FAIRLEAD_TLS_DIRECTORIES": str(folder), "FAIRLEAD_TLS_RELOAD_INTERVAL": "0"}
    environment |= {"FAIRLEAD_MANAGEMENT_SOCKET": str(operator.socket)}
    service = await (await start("--single-process", **environment)).ready()
    assert await operator("reload") == (0, "done")
    assert (await service.event("certificates are loaded anew"))["cause"] == CAUSE
    authority.issue(folder, "localhost")
    service.signal(signal.SIGHUP)
    assert (await service.event("certificates are loaded anew", cause="SIGHUP"))["renewed"] == 1


async def test_systemd_hears_of_it(start: Any, tmp_path: Path) -> None:
    """K3: `Type=notify` works without a supervisor, too."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        service = await (await start("--single-process", NOTIFY_SOCKET=str(tmp_path / "notify"))).ready()
        service.process.terminate()
        assert await service.exit_status() == 0
        assert systemd.recv(100) == f"READY=1\nMAINPID={service.process.pid}".encode()
        assert systemd.recv(100) == b"STOPPING=1"


async def test_listeners_run_in_sanics_order(start: Any) -> None:
    """S: those of the main process as well, because this one is."""
    code = """
from fairlead import App
app = App("ordered")
def note(event):
    async def listener(app):
        print('{"event": "listener", "on": "%s"}' % event, flush=True)
    return listener
for event in ("main_process_start", "before_server_start", "after_server_start", "main_process_ready",
              "before_server_stop", "after_server_stop", "main_process_stop"):
    app.listener(event)(note(event))
"""
    service = await (await start("--single-process", code=code)).ready()
    service.signal(signal.SIGTERM)
    assert await service.exit_status() == 0
    assert [line["on"] for line in service.find("listener")] == [
        "main_process_start",
        "before_server_start",
        "after_server_start",
        "main_process_ready",
        "before_server_stop",
        "after_server_stop",
        "main_process_stop",
    ]
