"""`make fuzz`: damaged bytes against a running service.

    python -m tests.fuzz --seconds 60
    python -m tests.fuzz --seconds 1200 --protocols http2 websocket --loop asyncio --seed 7

What must hold: nothing is logged as a warning or an error, every connection ends, the service answers a good request at any time,
and when all clients have gone nothing is in flight. A case is named by the seed of the run, its protocol and its number, from which
it can be made again; one that breaks something is cut down to what still does, and printed as bytes for a test.
"""

from __future__ import annotations

import argparse
import asyncio
import collections
import logging
import random
import re
import signal
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import Any

from tests.chaos.process import ServiceProcess
from tests.fuzz.mutation import mutated, packets
from tests.fuzz.seeds import SEEDS

AT_ONCE = 48
SILENCE_S = 0.15
"""A server that has said nothing for so long waits for more, and gets none."""
LIMIT_S = 10.0
"""For a good request, for an end, for quiet."""
LIMITS: dict[str, Any] = {
    "first_byte_timeout": 2,
    "request_header_timeout": 2,
    "request_timeout": 2,
    "keep_alive_timeout": 3,
    "write_timeout": 3,
    "websocket_timeout": 1,
    "http2": "true",
    "graceful_shutdown_timeout": 5,
}
USUAL = {"worker is starting", "worker is ready", "service is ready"}


class Fuzzer:
    """One run against one service."""

    def __init__(self, service: ServiceProcess, seed: int, protocols: list[str]) -> None:
        self._service = service
        self._seed = seed
        self._conversations = {name: SEEDS[name]() for name in protocols}
        self.cases: collections.Counter[str] = collections.Counter()
        self.statuses: collections.Counter[str] = collections.Counter()
        self.problems: list[str] = []

    async def run(self, until_s: float) -> None:
        """Send cases until the time is over, or something is broken."""
        while time.monotonic() < until_s and not self.problems:
            batch = [self._case(name) for name in random.choices(list(self._conversations), k=AT_ONCE)]
            await asyncio.gather(*(self._send(case, number) for number, case in batch))
            if (found := self._complaints()) or not await self._answers():
                await self._explain(batch, found)

    def _case(self, protocol: str) -> tuple[str, list[bytes]]:
        number = self.cases[protocol]
        self.cases[protocol] += 1
        return f"{protocol} {number}", self.case(protocol, number)

    def case(self, protocol: str, number: int) -> list[bytes]:
        """The packets of a case: the same for the same seed, protocol and number."""
        chance, conversations = Random(f"{self._seed} {protocol} {number}"), self._conversations[protocol]
        return packets(chance, mutated(chance, chance.choice(conversations), conversations))

    async def _send(self, case: list[bytes], name: str) -> None:
        chance = Random(name)
        reader, writer = await asyncio.open_connection("127.0.0.1", self._service.port)
        with suppress(OSError):
            for packet in case:
                writer.write(packet)
                await asyncio.sleep(0 if chance.random() < 0.8 else 0.005)
            if chance.random() < 0.3:
                writer.write_eof()
            with suppress(TimeoutError):
                while True:
                    async with asyncio.timeout(SILENCE_S):
                        data = await reader.read(65_536)
                    if not data:
                        break
                    if found := re.match(rb"HTTP/1.1 (\d{3})", data):
                        self.statuses[found[1].decode()] += 1
        if chance.random() < 0.5:
            writer.transport.abort()
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()

    async def _answers(self) -> bool:
        try:
            async with asyncio.timeout(LIMIT_S):
                reader, writer = await asyncio.open_connection("127.0.0.1", self._service.port)
                writer.write(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
                answer = await reader.read()
                writer.close()
            return answer.startswith(b"HTTP/1.1 200") and answer.endswith(b"ok")
        except (OSError, TimeoutError):
            return False

    def _complaints(self) -> list[dict[str, Any]]:
        """What the service has logged since it was ready, taken out of the log."""
        found = [line for _, line in self._service.log if line.get("event") not in USUAL]
        self._service.log[:] = [entry for entry in self._service.log if entry[1].get("event") in USUAL]
        return [line for line in found if line.get("level") in ("warning", "error", "critical")]

    # Finding out

    async def _explain(self, batch: list[tuple[str, list[bytes]]], found: list[dict[str, Any]]) -> None:
        """Which case of a batch it was, and what of it is needed."""
        for name, case in batch:
            if await self._breaks(case, name):
                smallest = await self._smaller(case, name)
                self.problems.append(f"{name} of seed {self._seed}: {found or 'no answer'}\n  as packets: {smallest!r}")
                return
        names = ", ".join(name for name, _ in batch)
        self.problems.append(f"one of {names} of seed {self._seed}, together with others: {found or 'no answer'}")

    async def _breaks(self, case: list[bytes], name: str) -> bool:
        await self._send(case, name)
        is_well = await self._answers()
        await asyncio.sleep(0.1)  # the log comes through a pipe
        return bool(self._complaints()) or not is_well

    async def _smaller(self, case: list[bytes], name: str) -> list[bytes]:
        """Without packets, then without halves, quarters … of packets, as long as it still breaks."""
        for place in reversed(range(len(case))):
            without = case[:place] + case[place + 1 :]
            if without and await self._breaks(without, name):
                case = without
        for place in range(len(case)):
            size = len(case[place]) // 2
            while size:
                begin = 0
                while begin < len(case[place]):
                    less = [*case[:place], case[place][:begin] + case[place][begin + size :], *case[place + 1 :]]
                    if await self._breaks(less, name):
                        case = less
                    else:
                        begin += size
                size //= 2
        return case

    async def settle(self) -> None:
        """All clients have gone: nothing may be in flight any more."""
        deadline_s = time.monotonic() + LIMIT_S
        while (open_now := await self._in_flight()) and time.monotonic() < deadline_s:  # noqa: ASYNC110 - in another process
            await asyncio.sleep(0.2)
        if open_now:
            self.problems.append(f"still there without a client: {open_now}")

    async def _in_flight(self) -> dict[str, float]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._service.management_port)
        writer.write(b"GET /metrics HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        text = (await reader.read()).decode()
        writer.close()
        lines = re.findall(r"^(fairlead_worker_(?:requests_in_flight|connections))\{[^}]*\} (\S+)$", text, re.MULTILINE)
        assert len(lines) >= 2, text
        return {name: float(value) for name, value in lines if float(value)}


async def _run(arguments: argparse.Namespace, stubs: Path) -> int:
    service = await ServiceProcess.start(1, arguments.loop, stubs, module=arguments.target, **LIMITS)
    try:
        await service.ready()
        fuzzer = Fuzzer(service, arguments.seed, arguments.protocols)
        began_s = time.monotonic()
        await fuzzer.run(began_s + arguments.seconds)
        await fuzzer.settle()
        told_s = service.signal(signal.SIGTERM)
        status, ended_s = await service.end()
        if status or ended_s - told_s > LIMIT_S:
            fuzzer.problems.append(f"the service ended with status {status} after {ended_s - told_s:.1f} s: {service.stderr}")
    finally:
        await service.clear()
    _print(f"seed {arguments.seed}, {arguments.loop}, {time.monotonic() - began_s:.0f} s: {dict(fuzzer.cases)} cases")
    _print(f"answers of HTTP/1.1: {dict(sorted(fuzzer.statuses.items()))}")
    for problem in fuzzer.problems:
        _print(f"✗ {problem}")
    _print("something broke" if fuzzer.problems else "nothing broke")
    return bool(fuzzer.problems)


def main() -> int:
    """0 when nothing broke."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32), help="default: any")
    parser.add_argument("--protocols", nargs="+", choices=list(SEEDS), default=list(SEEDS))
    parser.add_argument("--loop", choices=["uvloop", "asyncio"], default="uvloop")
    parser.add_argument("--target", default="tests.fuzz.target", help="the module of the service")
    arguments = parser.parse_args()
    logging.getLogger("asyncio").setLevel(logging.ERROR)  # that the server has closed is no news
    with tempfile.TemporaryDirectory(prefix="fairlead-fuzz-") as folder:
        (Path(folder) / "uvloop.py").write_text("raise ImportError('hidden, to run on asyncio')\n")
        return asyncio.run(_run(arguments, Path(folder)))


def _print(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
