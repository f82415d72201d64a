"""`python -m benchmarks`: measure the servers against each other; `--help` lists what can be chosen.

Every server is started once and stays; then, round by round, each workload is given to each server in turn, in an order that shifts
from round to round. So what disturbs the machine for a while disturbs all of them, and ratios hold where absolute figures drift.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from benchmarks import answers, environment, loaders, report
from benchmarks.process import ServerFailed, ServerProcess
from benchmarks.servers import Peer, discover
from benchmarks.workloads import WORKLOADS, Workload

BASIC = ("fairlead", "fairlead_bare", "fairlead_logged", "limit", "sanic", "starlette", "uvicorn")
REFERENCE = "sanic"
WARM_UP_S = 1
QUIET_LOAD = 0.5
"""The load average up to which a machine counts as quiet."""


def main() -> int:
    """Measure, print the table, write the JSON. 0 when every chosen server gave its answers, else 1; 2 when nothing can be done."""
    arguments = _arguments()
    peers, workloads = _choice(arguments)
    excuse = loaders.missing()
    if excuse is not None:
        print(excuse, file=sys.stderr)
        workloads = [workload for workload in workloads if workload.is_websocket]
        if not workloads:
            return 2
    try:
        environment.prepare(
            with_more=arguments.all or any(peer.name not in BASIC and not peer.is_observed for peer in peers),
            with_telemetry=any(peer.is_observed for peer in peers),
        )
    except subprocess.CalledProcessError:
        print("the peers could not be installed", file=sys.stderr)
        return 2
    run = Run(peers, workloads, arguments.rounds, arguments.seconds)
    run.measure()
    for measure in (report.RATE, report.CPU):
        print("\n" + report.table(run.peers, workloads, run.samples, arguments.reference, measure))
    print("\n`>`: the load generator was the limit, the server could do more. `-`: not offered, or failed.")
    facts = {
        "rounds": arguments.rounds,
        "seconds": arguments.seconds,
        "connections": loaders.CONNECTIONS,
        "machine": report.machine(),
        "versions": environment.versions({package for peer in peers for package in peer.packages}),
        "failures": run.failures,
    }
    path = Path(arguments.output)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(report.document(run.samples, arguments.reference, facts), indent=2) + "\n")
    print(f"written to {path}")
    return 1 if run.failures else 0


class Run:
    """All measurements: `samples` by (server, workload), and `failures` as lines."""

    def __init__(self, peers: list[Peer], workloads: list[Workload], rounds: int, seconds: int) -> None:
        self.peers = peers
        self.workloads = workloads
        self.samples: report.Samples = {}
        self.failures: list[str] = []
        self._rounds = rounds
        self._seconds = seconds
        cores = sorted(os.sched_getaffinity(0))
        self._server_core, self._load_core = cores[0], cores[-1]
        if len(cores) < 2:
            print("there is only one CPU: server and load share it, ratios are blurred", file=sys.stderr)
        if os.getloadavg()[0] > QUIET_LOAD:
            print("the machine is busy with something else: trust the second table (CPU time) only", file=sys.stderr)

    def measure(self) -> None:
        """Start the servers, check their answers, then go round."""
        with ExitStack() as stack:
            servers = [server for peer in self.peers if (server := self._start(peer, stack)) is not None]
            for number in range(self._rounds):
                for workload in self.workloads:
                    for server in servers[number % len(servers) :] + servers[: number % len(servers)]:
                        if (server.peer.name, workload.name) in self.samples:
                            self._sample(server, workload, number)

    def _start(self, peer: Peer, stack: ExitStack) -> ServerProcess | None:
        try:
            server = stack.enter_context(ServerProcess(peer, self._server_core))
        except ServerFailed as error:
            self._fail(str(error))
            return None
        for workload in self.workloads:
            if workload.name in peer.workloads:
                try:
                    answers.check(workload, server.port)
                    loaders.measure(workload, server.port, self._load_core, WARM_UP_S)
                except (answers.WrongAnswer, loaders.LoadFailed, OSError) as error:
                    self._fail(f"{peer.title}, {workload.title}: {error}")
                else:
                    self.samples[peer.name, workload.name] = []
        return server

    def _sample(self, server: ServerProcess, workload: Workload, number: int) -> None:
        before_s = server.cpu_s()
        try:
            sample = loaders.measure(workload, server.port, self._load_core, self._seconds)
        except loaders.LoadFailed as error:
            self._fail(f"{server.peer.title}, {workload.title}: {error}")
            return
        spent_s = server.cpu_s() - before_s
        sample = replace(sample, per_cpu_second=sample.per_second * self._seconds / spent_s if spent_s else None)
        self.samples[server.peer.name, workload.name].append(sample)
        print(
            f"round {number + 1}  {workload.title:<14} {server.peer.title:<28} {sample.per_second:>10,.0f}/s"
            f"   server at {spent_s / self._seconds:.0%}, load at {sample.load_cpu:.0%}",
            flush=True,
        )

    def _fail(self, line: str) -> None:
        self.failures.append(line)
        print(f"FAILED  {line}", file=sys.stderr, flush=True)


def _arguments() -> argparse.Namespace:
    peers, workloads = [peer.name for peer in discover()], [workload.name for workload in WORKLOADS]
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measure Fairlead beside its peers.")
    parser.add_argument("--servers", nargs="+", choices=peers, metavar="NAME", help=f"some of: {', '.join(peers)}")
    parser.add_argument("--all", action="store_true", help="every server, the further peers included")
    parser.add_argument("--workloads", nargs="+", choices=workloads, metavar="NAME", help=f"some of: {', '.join(workloads)}")
    parser.add_argument("--rounds", type=int, default=3, help="interleaved rounds (default: 3)")
    parser.add_argument("--seconds", type=int, default=4, help="length of each measurement (default: 4)")
    parser.add_argument("--reference", choices=peers, default=REFERENCE, metavar="NAME", help="the ratios' 1 (default: sanic)")
    parser.add_argument("--output", default=".local/benchmarks.json", help="where the JSON goes")
    return parser.parse_args()


def _choice(arguments: argparse.Namespace) -> tuple[list[Peer], list[Workload]]:
    names = arguments.servers or [
        peer.name for peer in discover() if peer.name in BASIC or (arguments.all and not peer.is_observed)
    ]
    peers = [peer for peer in discover() if peer.name in names]
    workloads = [w for w in WORKLOADS if arguments.workloads is None or w.name in arguments.workloads]
    return peers, workloads


if __name__ == "__main__":
    sys.exit(main())
