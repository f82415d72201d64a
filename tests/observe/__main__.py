"""`make observe`: what `make run` does, as numbers, curves and traces, in this terminal and in a browser.

Start it in one terminal and `make run` in another, in whichever order. Prometheus scrapes the management ports of the services, and
their spans come to an OTLP receiver at its usual port: `make run` sends them there when it finds somebody listening, so traces need
this one to be started first. Everything listens on 127.0.0.1, data is in .local/observe, and Ctrl-C ends all of it.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import signal
import socket
import sys
from collections.abc import AsyncIterator, Coroutine, Sequence
from typing import Any

from fairlead import App
from fairlead.errors import ConfigurationError
from fairlead.local.plan import Service, read_services
from fairlead.local.ports import LOOPBACK, holder, is_taken
from fairlead.server import Server
from fairlead.testing.otlp import OtlpReceiver
from tests.observe.page import NAMESPACE, build_page
from tests.observe.prometheus import ROOT, Missing, Prometheus, Target
from tests.observe.table import picture
from tests.observe.traces import most_telling, traces_of, tree

PAGE_PORT = 9095
PROMETHEUS_PORT = 9090
OTLP_PORT = 4318
SPANS_LOOKED_AT = 2_000
TREE_LINES = 14
NO_TRACES = """No traces yet. If `make run` was started before this, start it again: it sends
them to whoever listens when it starts."""
CLEAR = "\x1b[H\x1b[2J"


def main(words: Sequence[str] | None = None) -> int:
    """0 when interrupted, or after the rounds; 1 with one line when it can't be."""
    parser = argparse.ArgumentParser(prog="make observe", description="Watch what `make run` has started.")
    parser.add_argument("--seconds", type=float, default=5.0, help="between two pictures (default: 5)")
    parser.add_argument("--rounds", type=int, default=0, help="end after so many pictures (default: never)")
    parser.add_argument("--page-port", type=int, default=PAGE_PORT, help=f"of the page for a browser (default: {PAGE_PORT})")
    parser.add_argument("--prometheus-port", type=int, default=PROMETHEUS_PORT)
    parser.add_argument("--otlp-port", type=int, default=OTLP_PORT)
    arguments = parser.parse_args(words)
    try:
        asyncio.run(_until_told(observe(arguments, read_services(ROOT))))
    except (Missing, ConfigurationError, RuntimeError) as error:
        sys.stderr.write(f"observe: {error}\n")
        return 1
    return 0


async def _until_told(work: Coroutine[Any, Any, None]) -> None:
    """Ctrl-C, SIGTERM and a terminal that is closed end it in order."""
    task = asyncio.create_task(work)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await task


async def observe(arguments: argparse.Namespace, services: Sequence[Service]) -> None:
    """Draw the picture every so often, until cancelled. Raises `Missing`, or RuntimeError for a port that is taken."""
    ports = {"page-port": arguments.page_port, "prometheus-port": arguments.prometheus_port, "otlp-port": arguments.otlp_port}
    for option, port in ports.items():
        if is_taken(port):
            raise RuntimeError(f'port {port} is taken by {holder(port)}; OBSERVE_ARGS="--{option} N" chooses another one')
    names = [service.name for service in services]
    targets = [Target(service.name, service.management_url.removeprefix("http://")) for service in services]
    with OtlpReceiver(arguments.otlp_port) as receiver:
        prometheus = Prometheus(ROOT / ".local" / "observe", targets, namespace=NAMESPACE, port=arguments.prometheus_port)
        async with prometheus, _serving(build_page(prometheus, receiver, names), arguments.page_port):
            rounds = 0
            while not arguments.rounds or rounds < arguments.rounds:
                await asyncio.sleep(arguments.seconds if rounds else min(arguments.seconds, 2.0))
                rounds += 1
                say(await screen(prometheus, receiver, services, arguments.page_port))


@contextlib.asynccontextmanager
async def _serving(app: App[Any, Any], port: int) -> AsyncIterator[None]:
    with socket.create_server((LOOPBACK, port)) as listener:
        server = Server(app.finalise(), [listener])
        await server.start()
        try:
            yield
        finally:
            await server.stop_accepting()
            await server.drain(asyncio.get_running_loop().time() + 1)


async def screen(prometheus: Prometheus, receiver: OtlpReceiver, services: Sequence[Service], page_port: int) -> str:
    """Everything that is shown at a time: addresses, numbers, and one trace."""
    lines = [
        f"http://{LOOPBACK}:{page_port}  dashboard and traces     {prometheus.url}  Prometheus",
        "",
        await picture(prometheus, [service.name for service in services]),
        "",
    ]
    telling = most_telling(traces_of(list(receiver.spans)[-SPANS_LOOKED_AT:]))
    if telling is not None:
        lines.append(tree(telling, max_lines=TREE_LINES))
    elif any(is_taken(service.management_port) for service in services):
        lines.append(NO_TRACES)
    else:
        lines.append("Nothing to see yet: start `make run` in another terminal.")
    return "\n".join(lines)


def say(text: str) -> None:
    """In place of what stood there, on a terminal; below it otherwise."""
    sys.stdout.write(f"{CLEAR if sys.stdout.isatty() else ''}{text}\n\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
