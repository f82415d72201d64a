# ruff: noqa: T201 - a command prints
"""Runs the Autobahn|Testsuite's fuzzing client against an echo of ours: `make autobahn` (W13).

The suite plays a client that breaks every rule of RFC 6455 and RFC 7692 in turn, about 500 cases, and judges what comes
back. Beside ours runs an echo of the `websockets` library, so that the same run says whether a case is slower here.

Strict: a case passes when both its behaviour and the way the connection ended are OK. INFORMATIONAL is what the suite
itself gives where the RFC leaves a choice. NON-STRICT and everything else fails.

The suite is a Python 2.7 program. The interpreter is the one that PYTHON27 names, a `python2.7` on the path, or pyenv's;
without one nothing is checked, and the exit status is 2. Its packages are locked in requirements/autobahn.txt and
installed below .tools/; two of them are compiled, and need a C compiler.

    python -m tests.framework.websocket.autobahn [--cases '6.*' '12.1.*'] [--alone]
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import hashlib
import json
import logging
import os
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from websockets.asyncio.server import ServerConnection, serve

from fairlead import App, Request
from fairlead.testing import AppServer
from fairlead.websocket import Websocket
from fairlead.workers.loop import new_event_loop

ROOT: Final = Path(__file__).resolve().parents[3]
LOCK: Final = ROOT / "requirements" / "autobahn.txt"
INSTALLED: Final = ROOT / ".tools" / "autobahn"

OURS, REFERENCE = "fairlead", "websockets"
MAX_SIZE: Final = 32 * 1_048_576
"""Section 9 sends messages of 16 MiB."""

PASSED: Final = frozenset(("OK", "INFORMATIONAL"))

Case = Mapping[str, Any]
Reports = Mapping[str, Mapping[str, Case]]

# Its packages share namespaces by .pth files, which only a site directory has.
START: Final = "import site, sys; site.addsitedir(sys.argv.pop(1)); from autobahntestsuite.wstest import run; run()"


class Unavailable(Exception):
    """The suite can't be run here; the text says why."""


def find_interpreter() -> str:
    """A Python 2.7 that starts."""
    for candidate in _candidates():
        with contextlib.suppress(OSError, subprocess.SubprocessError):
            version = subprocess.run([candidate, "-c", "import sys; print(sys.version_info[:2])"], capture_output=True, timeout=20)
            if version.stdout.strip() == b"(2, 7)":
                return candidate
    raise Unavailable("the suite needs Python 2.7 and there is none: name one, as in PYTHON27=/opt/python2.7/bin/python2.7")


def _candidates() -> Iterator[str]:
    if named := os.environ.get("PYTHON27"):
        yield named
        return
    yield from map(str, sorted(Path.home().glob(".pyenv/versions/2.7.*/bin/python2.7"), reverse=True))
    if found := shutil.which("python2.7"):
        yield found


def install(interpreter: str) -> None:
    """Install the locked suite, unless it is there."""
    note, fingerprint = INSTALLED / ".installed", hashlib.sha256(LOCK.read_bytes()).hexdigest()
    if note.exists() and note.read_text() == fingerprint:
        return
    print("Autobahn|Testsuite: about 30 locked packages …", flush=True)
    shutil.rmtree(INSTALLED, ignore_errors=True)
    options = ["--quiet", "--disable-pip-version-check", "--no-deps", "--require-hashes"]
    command = [interpreter, "-m", "pip", "install", *options, "--target", str(INSTALLED), "--requirement", str(LOCK)]
    done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    if done.returncode:
        raise Unavailable(f"the suite can't be installed: {done.stderr.strip()[-400:]}")
    note.write_text(fingerprint)


def echo_app() -> App[Any, Any]:
    """What is tested."""
    app: App[Any, Any] = App("autobahn")

    @app.websocket("/", compression="deflate", max_size=MAX_SIZE)
    async def echo(request: Request[Any, Any], ws: Websocket) -> None:
        async for message in ws:
            await ws.send(message)

    return app


async def echo_of_the_library(connection: ServerConnection) -> None:
    """What it is measured against."""
    async for message in connection:
        await connection.send(message)


@contextlib.asynccontextmanager
async def servers(*, alone: bool) -> AsyncIterator[list[dict[str, str]]]:
    """The echo, and the library's beside it unless ours is `alone`, as the suite's list of servers."""
    async with contextlib.AsyncExitStack() as stack:
        server = await stack.enter_async_context(AppServer(echo_app(), live=True))
        host, port = server.address
        agents = [{"agent": OURS, "url": f"ws://{host}:{port}"}]
        if not alone:
            reference = await stack.enter_async_context(serve(echo_of_the_library, "127.0.0.1", 0, max_size=MAX_SIZE))
            port = reference.sockets[0].getsockname()[1]
            agents.append({"agent": REFERENCE, "url": f"ws://127.0.0.1:{port}"})
        yield agents


async def run(interpreter: str, directory: Path, cases: Sequence[str], *, alone: bool) -> Reports:
    """The suite's verdicts: agent → case → report."""
    specification = directory / "specification.json"
    async with servers(alone=alone) as agents:
        wanted = {"outdir": str(directory), "servers": agents, "cases": cases, "exclude-cases": [], "exclude-agent-cases": {}}
        specification.write_text(json.dumps(wanted))
        suite = await asyncio.create_subprocess_exec(
            *(interpreter, "-W", "ignore", "-c", START, str(INSTALLED), "--mode", "fuzzingclient", "--spec", str(specification)),
            cwd=directory,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            _, errors = await suite.communicate()
        finally:
            if suite.returncode is None:
                suite.kill()
    if not (directory / "index.json").exists():
        raise Unavailable(f"the suite has ended without a report: {errors.decode(errors='replace')[-400:]}")
    reports: Reports = json.loads((directory / "index.json").read_text())
    return reports


def failures(cases: Mapping[str, Case]) -> Iterator[str]:
    """A line for each case that did not pass."""
    for name, case in sorted(cases.items(), key=lambda item: [int(part) for part in item[0].split(".")]):
        if not {case["behavior"], case["behaviorClose"]} <= PASSED:
            yield f"  {name}: {case['behavior']}, closed {case['behaviorClose']} with {case['remoteCloseCode']}"


def slower(ours: Mapping[str, Case], reference: Mapping[str, Case], *, factor: float = 1.5, margin_ms: int = 100) -> Iterator[str]:
    """A line for each case that took clearly longer here than with the library, of those that the library passes."""
    for name, case in ours.items():
        if reference[name]["behavior"] not in PASSED:
            continue
        took, model = case["duration"], reference[name]["duration"]
        if took > model * factor and took > model + margin_ms:
            yield f"  {name}: {took} ms, the library takes {model} ms"


def main() -> int:
    """Exit status 0: all passed; 1: something did not; 2: the suite could not be run."""
    parser = argparse.ArgumentParser(description="Autobahn|Testsuite against an echo of Fairlead")
    parser.add_argument("--cases", nargs="+", default=["*"], help="such as 6.* (all)")
    parser.add_argument("--alone", action="store_true", help="without the library's echo for comparison")
    arguments = parser.parse_args()
    logging.getLogger("websockets").setLevel(logging.CRITICAL)  # it reports each broken rule, which is what we are here for
    try:
        interpreter = find_interpreter()
        install(interpreter)
        with tempfile.TemporaryDirectory(prefix="autobahn-") as directory, asyncio.Runner(loop_factory=new_event_loop) as runner:
            reports = runner.run(run(interpreter, Path(directory), arguments.cases, alone=arguments.alone))
    except Unavailable as error:
        print(f"autobahn: not verified: {error}", file=sys.stderr)
        return 2
    return report(reports)


def report(reports: Reports) -> int:
    """Print the verdicts; 1 when a case of ours failed, or is slower than the library's."""
    for agent, cases in reports.items():
        counts = Counter(case["behavior"] for case in cases.values())
        total = sum(case["duration"] for case in cases.values())
        print(f"{agent}: {len(cases)} cases, {', '.join(f'{count} {verdict}' for verdict, count in counts.items())}; {total} ms")
    failed = list(failures(reports[OURS]))
    print("\n".join(["failed:", *failed]) if failed else "every case passed, in strict mode")
    late = list(slower(reports[OURS], reports[REFERENCE])) if REFERENCE in reports else []
    if late:
        print("\n".join(["slower than the library:", *late]))
    return 1 if failed or late else 0


if __name__ == "__main__":
    sys.exit(main())
