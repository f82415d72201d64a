"""`python -m benchmarks.broadcast`: see the package."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import uvloop

from benchmarks import environment
from benchmarks.broadcast.load import Crowd
from benchmarks.broadcast.servers import SERVERS
from benchmarks.process import ServerFailed, ServerProcess
from benchmarks.servers import Peer

PLAIN = (
    "limit",
    "fairlead",
    "fairlead_send",
    "picows",
    "picows_prebuilt",
    "websockets",
    "aiohttp",
    "tornado",
    "starlette",
    "sanic",
    "granian_asgi",
    "granian_rsgi",
    "robyn",
    "socketify",
)
DEFLATE = ("fairlead_deflate", "websockets_deflate", "aiohttp_deflate", "tornado_deflate")
PER_ROUND = 50
SETTLE_S = 1.0


class BroadcastServer(ServerProcess):
    """A server of this package."""

    module = "benchmarks.broadcast.servers"

    def __init__(self, name: str, core: int) -> None:
        super().__init__(Peer(name, name, (), (), SERVERS[name]), core)

    def rss_bytes(self) -> int:
        """Its resident memory."""
        assert self._process is not None
        return int(Path(f"/proc/{self._process.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")


def main() -> int:
    """Measure and print; 0 unless a server failed."""
    arguments = _arguments()
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cores[-1]})
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 100_000), hard))
    try:
        environment.prepare(with_more=True)
    except subprocess.CalledProcessError:
        print("the peers could not be installed", file=sys.stderr)
        return 2
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        if arguments.explain:
            return runner.run(_explain(arguments.explain, cores[0]))
        if arguments.idle:
            return runner.run(_idle(arguments.idle, cores[0]))
        return runner.run(_broadcast(arguments.servers, arguments.subscribers, arguments.rounds, cores[0]))


async def _broadcast(names: list[str], subscribers: int, rounds: int, core: int) -> int:
    """Each server is started once; then they take turns, round by round."""
    taken: dict[str, list[tuple[float, float, float]]] = {}
    failed = 0
    async with AsyncExitStack() as stack:
        crowds: dict[str, tuple[BroadcastServer, Crowd]] = {}
        for name in names:
            try:
                server = stack.enter_context(BroadcastServer(name, core))
                crowd = Crowd(server.port, compression="deflate" in name)
                await crowd.open(subscribers + 1)
                await crowd.broadcast(5)
            except (ServerFailed, RuntimeError, OSError, TimeoutError) as error:
                print(f"{name}: {error!r}", file=sys.stderr)
                failed += 1
                continue
            stack.callback(crowd.close)
            crowds[name] = server, crowd
        for number in range(rounds):
            order = list(crowds)
            for name in order[number % len(order) :] + order[: number % len(order)]:
                server, crowd = crowds[name]
                try:
                    row = await _round(server, crowd)
                except (RuntimeError, TimeoutError) as error:
                    print(f"{name}, round {number + 1}: {error!r}", file=sys.stderr)
                    failed += 1
                else:
                    taken.setdefault(name, []).append(row)
    print(f"\n{subscribers} subscribers, {rounds} rounds of {PER_ROUND} messages, then {PER_ROUND} one by one; medians")
    print(f"{'server':<20} {'deliveries/s':>14} {'per CPU second':>16} {'one by one':>14}")
    for name, rows in taken.items():
        in_row_s, cpu_s, lone_cpu_s = (statistics.median(column) for column in zip(*rows, strict=True))
        many = PER_ROUND * subscribers
        print(f"{name:<20} {many / in_row_s:>14,.0f} {many / cpu_s:>16,.0f} {many / lone_cpu_s:>14,.0f}")
    return failed


async def _round(server: BroadcastServer, crowd: Crowd) -> tuple[float, float, float]:
    """Seconds, and the server's seconds of CPU time, for messages that follow each other as fast as the server sends them; then the
    latter for as many of which each is sent when all have the one before."""
    before_s = server.cpu_s()
    took_s = await crowd.broadcast(PER_ROUND)
    between_s = server.cpu_s()
    for _ in range(PER_ROUND):
        await crowd.broadcast(1)
    return took_s, between_s - before_s, server.cpu_s() - between_s


async def _idle(count: int, core: int) -> int:
    """Memory for each idle connection, after the shortest handshake and after a browser's; the loop's lag while all are sent to."""
    lag: Any = None
    for browsers in (False, True):
        print(f"{count} connections, handshake of {'a browser' if browsers else 'the fields that it must have'}")
        sizes: dict[str, float] = {}
        for name in ("bare", "fairlead"):
            with BroadcastServer(name, core) as server:
                await _warm_up(server)
                before, crowd = server.rss_bytes(), Crowd(server.port, browsers=browsers)
                began_s = time.perf_counter()
                await crowd.open(count)
                took_s = time.perf_counter() - began_s
                await asyncio.sleep(SETTLE_S)
                sizes[name] = (server.rss_bytes() - before) / count
                print(f"  {name:<10} {sizes[name] / 1024:.2f} KiB each, opened in {took_s:.1f} s")
                if name == "fairlead":
                    lag = json.loads(await crowd.ask("lag"))
                crowd.close()
        print(f"  fairlead / bare: {sizes['fairlead'] / sizes['bare']:.2f}")
    print("loop lag while broadcasting to all, ten a second: " + ", ".join(f"{name} {value:.1f}" for name, value in lag.items()))
    return 0


async def _explain(count: int, core: int) -> int:
    """Where the memory of an idle connection was allocated, by tracemalloc: bytes for each, line by line."""
    with BroadcastServer("fairlead", core) as server:
        await _warm_up(server)
        one, crowd = Crowd(server.port), Crowd(server.port)
        await one.open(1)
        await one.ask("trace")
        await crowd.open(count)
        traced: dict[str, int] = json.loads(await one.ask("trace"))
        for line, size in sorted(traced.items(), key=lambda item: -item[1]):
            print(f"{size / count:>10.1f}  {line}")
        one.close()
        crowd.close()
    return 0


async def _warm_up(server: BroadcastServer) -> None:
    """What the first connections cost once is not theirs."""
    warm = Crowd(server.port)
    await warm.open(200)
    warm.close()
    await asyncio.sleep(SETTLE_S)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.broadcast")
    parser.add_argument("--subscribers", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--servers", nargs="+", default=[*PLAIN, *DEFLATE], choices=[*PLAIN, *DEFLATE])
    parser.add_argument(
        "--idle", type=int, nargs="?", const=10_000, help="memory of idle connections (default: 10000) and the loop's lag"
    )
    parser.add_argument(
        "--explain", type=int, nargs="?", const=2000, help="where the memory of idle connections is allocated (default: of 2000)"
    )
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
