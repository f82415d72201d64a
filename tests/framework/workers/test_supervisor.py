"""The supervisor with real processes: starts that fail, deaths, drains, signals (missions K2, K3, K4)."""

from __future__ import annotations

import asyncio
import os
import pty
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

# --- deaths ----------------------------------------------------------------------------------------------------------


async def test_a_killed_worker_is_replaced(start: Any) -> None:
    """K3: `kill -9` of a worker: one line with signal and cause, a new worker, and the other one goes on serving."""
    service = await (await start("--workers", "2")).ready()
    killed = service.worker_pid(0)
    os.kill(killed, signal.SIGKILL)
    line = await service.event("worker has failed", worker=0)
    assert (line["cause"], line["worker_pid"], line["level"]) == ("killed by SIGKILL", killed, "error")
    await service.event("worker is ready", worker=0, count=2)
    assert len(service.find("worker has failed")) == 1
    assert {await service.get("/") for _ in range(8)} == {(200, "hello")}
    metrics = (await service.probe("/metrics"))[1]
    assert 'fairlead_worker_restarts_total{worker="0",cause="died"} 1' in metrics
    assert 'fairlead_worker_restarts_total{worker="1",cause="died"} 0' in metrics


async def test_a_connection_in_the_queue_survives_its_worker(start: Any) -> None:
    """K4: what waits in the accept queue of a dead worker is answered by its replacement."""
    service = await (await start()).ready()
    first = service.worker_pid()
    os.kill(first, signal.SIGSTOP)  # it accepts no more
    waiting = [await service.connect("/pid") for _ in range(5)]
    os.kill(first, signal.SIGKILL)
    answers = [await connection.answer() for connection in waiting]
    await service.event("worker is ready", count=2)
    assert answers == [(200, str(service.worker_pid()))] * 5


async def test_a_blocked_worker_is_shown_ended_and_replaced(start: Any) -> None:
    """K3, T3: a loop that stands still past the heartbeat time-out: cause and stack in the log, and a new worker."""
    service = await (await start(FAIRLEAD_WORKER_HEARTBEAT_TIMEOUT="1.5")).ready()
    await service.connect("/block/3600")
    line = await service.event("worker has failed")
    assert line["cause"] == "its loop has been blocked for 1.5 s; killed by SIGABRT"
    assert "in block" in line["stack"]
    await service.event("worker is ready", count=2)
    assert 'fairlead_worker_restarts_total{worker="0",cause="blocked"} 1' in (await service.probe("/metrics"))[1]
    assert await service.get("/") == (200, "hello")


async def test_a_stopped_worker_is_replaced(start: Any) -> None:
    """K3: a process that can't even die of SIGABRT is killed."""
    service = await (await start(FAIRLEAD_WORKER_HEARTBEAT_TIMEOUT="1.5")).ready()
    os.kill(service.worker_pid(), signal.SIGSTOP)
    line = await service.event("worker has failed")
    assert line["cause"] == "its loop has been blocked for 1.5 s; killed by SIGKILL"
    await service.event("worker is ready", count=2)


async def test_a_pause_of_the_supervisor_is_no_silence_of_the_workers(start: Any) -> None:
    """K3: after a debugger or a frozen container nobody is taken for blocked."""
    service = await (await start(FAIRLEAD_WORKER_HEARTBEAT_TIMEOUT="1.5")).ready()
    service.signal(signal.SIGSTOP)
    await asyncio.sleep(3.5)
    service.signal(signal.SIGCONT)
    while (await service.probe("/readyz"))[0] != 200:
        pass
    assert await service.get("/pid") == (200, str(service.worker_pid()))
    assert service.find("worker has failed") == []


async def test_a_crash_shows_its_stack(start: Any) -> None:
    """K3: a segmentation fault is logged with the Python stack that led to it."""
    crash = "\n@app.get('/crash')\nasync def crash(request):\n    import faulthandler\n    faulthandler._sigsegv()\n"
    service = await (await start(more=crash)).ready()
    await service.get("/crash")
    line = await service.event("worker has failed")
    assert line["cause"] == "killed by SIGSEGV"
    assert "in crash" in line["stack"]


async def test_a_worker_that_exits_unasked_has_failed(start: Any) -> None:
    """K3: an exit with status 0 that nobody asked for is a death like any other."""
    leave = "\n@app.get('/leave')\nasync def leave(request):\n    os._exit(0)\n"
    service = await (await start(more=leave)).ready()
    await service.get("/leave")
    assert (await service.event("worker has failed"))["cause"] == "exited with status 0"
    await service.event("worker is ready", count=2)


async def test_a_crash_loop_ends_with_its_cause(start: Any) -> None:
    """K3: five deaths without ten healthy seconds between: exit status 1, the cause on stderr, nothing left behind."""
    dying = "\n@app.after_server_start\nasync def die_soon(app):\n    asyncio.get_running_loop().call_later(0.1, os._exit, 3)\n"
    service = await start(more=dying)
    assert await service.exit_status() == 1
    assert service.stderr == ("fairlead: crash loop: worker 0 died 5 times in a row; the last time: exited with status 3\n")
    assert len(service.find("worker has failed")) == 5
    assert [line["delay_s"] for line in service.find("worker waits for its next start")] == [0.5, 1.0, 2.0]
    assert service.processes() == []


# --- starts that fail ------------------------------------------------------------------------------------------------


async def test_a_listener_that_raises_is_the_cause(start: Any) -> None:
    """K3: the exception of a start-up listener is on stderr once, with the lines that matter; exit 1, no orphan."""
    failing = "\n@app.before_server_start\nasync def connect(app):\n    raise RuntimeError('no\\nroute to the moon')\n"
    service = await start("--workers", "2", more=failing)
    assert await service.exit_status() == 1
    cause = "service_under_test:app cannot start: RuntimeError: no route to the moon"
    assert service.stderr.count(cause) == 1
    assert service.stderr.splitlines()[-1] == f"fairlead: {cause}"
    assert "in connect" in service.stderr
    assert "fairlead/workers" not in service.stderr
    assert service.processes() == []


async def test_an_import_that_fails_is_the_cause(start: Any) -> None:
    """K3: so is what the module raises while it is imported."""
    service = await start(code="import not_to_be_found_anywhere")
    assert await service.exit_status() == 1
    assert "No module named 'not_to_be_found_anywhere'" in service.stderr.splitlines()[-1]


async def test_wrong_configuration_is_one_line(start: Any) -> None:
    """K7: a `ConfigurationError` of the service is one line on stderr, without a traceback, and exit status 2."""
    code = "from fairlead.errors import ConfigurationError\ndef app():\n    raise ConfigurationError('A is not set', 'B is odd')\n"
    service = await start(code=code)
    assert await service.exit_status() == 2
    assert service.stderr == "fairlead: A is not set; B is odd\n"


async def test_a_start_that_takes_too_long_is_ended(start: Any) -> None:
    """K3: the start has a time-out of its own; the log shows where it hangs."""
    slow = "\n@app.before_server_start\nasync def wait(app):\n    time.sleep(3600)\n"
    service = await start(more=slow, FAIRLEAD_WORKER_START_TIMEOUT="4")
    assert await service.exit_status() == 1
    assert service.stderr == "fairlead: the first start failed: was not ready within 4 s; killed by SIGABRT\n"
    assert "in wait" in service.find("worker has failed")[0]["stack"]


async def test_a_taken_port_is_one_line(start: Any) -> None:
    """A port that another process has: one line that names it, exit status 1, no worker was started."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        service = await start("--port", str(port))
        assert await service.exit_status() == 1
    assert service.stderr == f"fairlead: port {port} on 127.0.0.1 is taken by another process\n"
    assert service.find("worker is starting") == []


async def test_a_taken_management_port_says_which_it_is(start: Any) -> None:
    """Nobody who starts a second small app has ever asked for port 9000."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        service = await start("--management-port", str(port))
        assert await service.exit_status() == 1
    assert service.stderr == f"fairlead: management: port {port} on 127.0.0.1 is taken by another process\n"


async def test_sanics_listeners_of_the_main_process_are_not_silently_left_out(start: Any) -> None:
    """S: no process of ours both imports the service and outlives its workers; the log says so."""
    main = "\n@app.main_process_start\n@app.reload_process_start\nasync def first(app):\n    raise AssertionError('not here')\n"
    service = await (await start("--workers", "2", more=main)).ready()
    await service.event("these listeners run in a single process only", on=["main_process_start"])
    await service.event("these listeners never run: files are watched without the service", on=["reload_process_start"])
    service.signal(signal.SIGTERM)
    assert await service.exit_status() == 0
    assert len(service.find("these listeners run in a single process only")) == 1


async def test_stores_in_memory_of_several_workers_are_warned_of(start: Any) -> None:
    """T8: each worker has sessions, counters, answers and channels of its own; the second one says so, once, with the remedy."""
    stores = """
from fairlead.channels import MemoryBackend as ChannelsInMemory
from fairlead.idempotency import MemoryStore as AnswersInMemory
from fairlead.limits import RateLimit
from fairlead.sessions import MemoryStore, Sessions
Sessions(MemoryStore()).install(app)
RateLimit("all", 1_000, window_s=60).install(app)
app.ctx.kept = ChannelsInMemory(), AnswersInMemory()
"""
    alone = await (await start("--workers", "1", more=stores)).ready()
    alone.signal(signal.SIGTERM)
    assert await alone.exit_status() == 0
    assert alone.find("each worker has its own: share it, or serve with one worker") == []
    service = await (await start("--workers", "3", more=stores)).ready()
    service.signal(signal.SIGTERM)
    assert await service.exit_status() == 0
    warnings = service.find("each worker has its own: share it, or serve with one worker")
    assert {line["what"]: line["use"] for line in warnings} == {
        "channels": "fairlead.channels.redis.RedisBackend",
        "sessions": "fairlead.sessions.redis.RedisStore",
        "the answers of idempotency keys": "fairlead.idempotency.redis.RedisStore or .postgres.PostgresStore",
        "the counters of rate limits": "fairlead.limits.redis.RedisBackend",
    }
    assert [line["worker"] for line in warnings] == [1] * 4


async def test_a_second_service_does_not_share_a_port(start: Any) -> None:
    """K4: SO_REUSEPORT would let a second service of the same user have half of the connections."""
    port = (await (await start()).ready()).port()
    second = await start("--port", str(port))
    assert await second.exit_status() == 1


# --- draining --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stop_signal", [signal.SIGTERM, signal.SIGINT])
async def test_requests_in_flight_are_answered(start: Any, stop_signal: signal.Signals) -> None:
    """K2: the answer of a slow request arrives whole; meanwhile /readyz is 503 and /livez 200; then exit 0."""
    service = await (await start("--workers", "2")).ready()
    slow = [await service.connect("/slow/1.5") for _ in range(4)]
    await service.in_flight(4)
    service.signal(stop_signal)
    await service.event("service is draining", cause=stop_signal.name)
    assert await service.probe("/readyz") == (503, "draining\n")
    assert await service.probe("/livez") == (200, "ok\n")
    assert await service.probe("/startupz") == (200, "ok\n")
    assert [await connection.answer() for connection in slow] == [(200, "slow and whole")] * 4
    assert await service.exit_status() == 0
    assert service.stderr == ""
    assert len(service.find("worker has stopped")) == 2


async def test_a_drain_on_plain_asyncio_is_the_same(start: Any, tmp_path_factory: Any) -> None:
    """T4, K2: without uvloop nothing changes, shutdown included."""
    folder = tmp_path_factory.mktemp("without-uvloop")
    (folder / "uvloop.py").write_text("raise ImportError('not here')\n")
    service = await (await start(PYTHONPATH=str(folder))).ready()
    assert "asyncio" in service.find("service is ready")[0]["versions"]
    slow = await service.connect("/slow/1")
    await service.in_flight(1)
    service.signal(signal.SIGTERM)
    assert await slow.answer() == (200, "slow and whole")
    assert await service.exit_status() == 0


async def test_the_drain_delay_keeps_serving(start: Any) -> None:
    """K2: for DRAIN_DELAY seconds new requests are still taken, while /readyz says 503 already."""
    service = await (await start("--drain-delay", "1.5")).ready()
    service.signal(signal.SIGTERM)
    await service.event("service is draining", delay_s=1.5)
    assert await service.probe("/readyz") == (503, "draining\n")
    assert await service.get("/") == (200, "hello")
    assert await service.exit_status() == 0
    assert service.find("worker is draining") != []


async def test_a_worker_that_dies_in_the_delay_is_still_replaced(start: Any) -> None:
    """K2, K3: serving on means serving on."""
    service = await (await start("--drain-delay", "2")).ready()
    service.signal(signal.SIGTERM)
    await service.event("service is draining")
    os.kill(service.worker_pid(), signal.SIGKILL)
    await service.event("worker is ready", count=2)
    assert await service.get("/") == (200, "hello")
    assert await service.exit_status() == 0


async def test_the_deadline_cuts(start: Any) -> None:
    """K2: what is not done at the deadline is cut, and said so; the exit status is still 0."""
    service = await (await start("--graceful-shutdown-timeout", "0.5")).ready()
    endless = await service.connect("/slow/3600")
    await service.in_flight(1)
    service.signal(signal.SIGTERM)
    assert await service.exit_status() == 0
    assert (await endless.answer())[0] in (0, 503)
    assert [line["requests"] for line in service.find("requests were cut at the deadline")] == [1]


async def test_a_worker_that_blocks_at_the_deadline_is_ended(start: Any) -> None:
    """K2: a loop that does not even hear of the drain is ended soon after the deadline, with its stack in the log."""
    service = await (await start("--graceful-shutdown-timeout", "0.5")).ready()
    await service.connect("/block/3600")
    await service.event("event loop is blocked")
    service.signal(signal.SIGTERM)
    assert await service.exit_status() == 0
    line = service.find("worker has stopped")[0]
    assert line["cause"] == "was not done at the deadline; killed by SIGABRT"
    assert "in block" in line["stack"]


async def test_a_thread_that_does_not_end_holds_nobody_up(start: Any) -> None:
    """K2, P1: a blocking call in a thread can't be cancelled, and must not keep the process either."""
    code = "\n@app.get('/thread')\nasync def thread(request):\n    await app.run_blocking(time.sleep, 3600)\n"
    service = await (await start("--graceful-shutdown-timeout", "0.5", more=code)).ready()
    await service.connect("/thread")
    await service.in_flight(1)
    service.signal(signal.SIGTERM)
    assert await service.exit_status() == 0
    assert "cause" not in service.find("worker has stopped")[0]


async def test_a_second_signal_forces(start: Any) -> None:
    """K2: whoever asks twice does not want to wait."""
    service = await (await start("--graceful-shutdown-timeout", "3600")).ready()
    await service.connect("/slow/3600")
    await service.in_flight(1)
    service.signal(signal.SIGTERM)
    await service.event("worker is draining")
    await asyncio.sleep(0.3)  # signals that come together are one wish
    service.signal(signal.SIGTERM)
    assert await service.exit_status() == 1
    assert service.stderr == "fairlead: stopped by force: a second signal came before the work was done\n"
    assert service.find("service is stopped by force", cause="SIGTERM") != []
    assert service.processes() == []


async def test_two_signals_at_once_are_one_wish(start: Any) -> None:
    """K2: Ctrl-C reaches the whole process group while the parent passes its own signal on: nothing is cut."""
    service = await (await start()).ready()
    slow = await service.connect("/slow/1")
    await service.in_flight(1)
    service.signal(signal.SIGINT)
    service.signal(signal.SIGTERM)
    assert await slow.answer() == (200, "slow and whole")
    assert await service.exit_status() == 0


async def test_sigterm_during_the_import(start: Any) -> None:
    """K3: a service that is still importing ends at once, with status 0."""
    code = "import pathlib, time\npathlib.Path('importing').touch()\ntime.sleep(3600)\n"
    service = await start(code=code)
    await service.file("importing")
    service.signal(signal.SIGTERM)
    assert await service.exit_status() == 0
    assert service.stderr == ""
    assert service.find("worker has failed") == []


async def test_sigterm_during_a_listener(start: Any) -> None:
    """K3: so does one whose start-up listener waits for something."""
    waiting = """
@app.before_server_start
async def wait(app):
    print('{"event": "waiting"}', flush=True)
    await asyncio.sleep(3600)
"""
    service = await start(more=waiting)
    await service.event("waiting")
    service.signal(signal.SIGTERM)
    assert await service.exit_status() == 0
    assert service.find("worker has failed") == []


async def test_sigterm_before_anything_has_started(start: Any) -> None:
    """K3: handlers come first; a signal in the very first moments is kept, not lost and not fatal in a bad way."""
    service = await start()
    await service.event("worker is starting")
    service.signal(signal.SIGTERM)
    assert await service.exit_status() == 0


# --- the supervisor's own death --------------------------------------------------------------------------------------


async def test_no_worker_outlives_a_killed_supervisor(start: Any) -> None:
    """K3: the end of the channel makes the workers finish what they have, and go."""
    service = await (await start("--workers", "2")).ready()
    slow = await service.connect("/slow/1")
    await service.in_flight(1)
    service.signal(signal.SIGKILL)
    assert await slow.answer() == (200, "slow and whole")
    await service.gone()


async def test_a_blocked_worker_does_not_outlive_it_either(start: Any) -> None:
    """K3: the loop can't hear of it, the lifeline can."""
    service = await (await start("--graceful-shutdown-timeout", "0.2")).ready()
    await service.connect("/block/3600")
    await service.event("event loop is blocked")
    service.signal(signal.SIGKILL)
    await service.gone()


async def test_no_worker_outlives_a_supervisor_killed_during_the_import(start: Any) -> None:
    """K3: nor does one that has not got as far as a loop."""
    code = "import time\ntime.sleep(3600)\n"
    service = await start("--graceful-shutdown-timeout", "0.2", code=code)
    await service.event("worker is starting")
    service.signal(signal.SIGKILL)
    await service.gone()


# --- as PID 1, and in a terminal -------------------------------------------------------------------------------------


def _can_be_pid_1() -> bool:
    command = ["unshare", "--pid", "--fork", "--mount-proc", "true"]
    return shutil.which("unshare") is not None and subprocess.run(command, capture_output=True).returncode == 0


@pytest.mark.skipif(not _can_be_pid_1(), reason="this machine does not let us make a PID namespace")
async def test_as_pid_1_it_buries_orphans_and_hears_sigterm(start: Any) -> None:
    """K3: orphans of the container become the supervisor's children; SIGTERM ends it like anywhere else."""
    orphan = """
@app.get("/orphan")
async def orphan(request):
    process = await asyncio.create_subprocess_exec("sh", "-c", "sleep 0.1 & echo $!", stdout=-1)
    return text((await process.communicate())[0].decode())
"""
    service = await start(more=orphan, prefix=("unshare", "--pid", "--fork", "--kill-child", "--mount-proc"))
    await service.ready()
    assert service.find("worker is starting")[0]["pid"] == 1
    for _ in range(3):
        assert (await service.get("/orphan"))[0] == 200
    supervisor = _children(service.process.pid)[0]
    await service.until(lambda: len(_children(supervisor)) == 1)  # the worker; neither a sleep nor its zombie
    os.kill(supervisor, signal.SIGTERM)
    assert await service.exit_status() == 0


async def test_a_closed_terminal_ends_the_service(start: Any) -> None:
    """K2: SIGHUP from a terminal that is gone is no rolling restart; nothing is left running in the background."""
    ours, theirs = pty.openpty()
    command = (
        "import os, fcntl, termios, sys; fcntl.ioctl(int(sys.argv[1]), termios.TIOCSCTTY, 0); os.execv(sys.argv[2], sys.argv[2:])"
    )
    service = await start(prefix=(sys.executable, "-c", command, str(theirs)), pass_fds=(theirs,))
    os.close(theirs)
    await service.ready()
    os.close(ours)
    assert await service.exit_status() == 0
    assert service.find("service is draining", cause="SIGHUP") != []


def _children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
