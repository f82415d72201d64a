"""One engine and one base image for all tests here; each service's image is built once.

`make image-test` (`--containers`) runs them; a plain `pytest` doesn't. A machine that can't run containers is reported as
NOT VERIFIED, in capitals and at the end, and makes `make image-test` fail: what was not tried has not passed.
"""

from __future__ import annotations

import contextlib
import http.client
import socket
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from fairlead.local.plan import Service, read_services, with_ports

from .base_image import PYTHON, provide_base_image
from .engine import BUILD_TIMEOUT_S, ROOT, Container, Engine, NotVerified, find_engine

NAMES = sorted(path.parent.name for path in ROOT.glob("services/*/pyproject.toml"))
REASON = pytest.StashKey[str]()
MEASURED = pytest.StashKey[dict[str, dict[str, str]]]()
FIGURES = ("beyond the base", "ready after", "resident, worker", "resident, supervisor")
PLAIN = ("test_compose.py",)
"""Tests that need no container."""

START_DEADLINE_S = 60


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--containers` asks for these tests; only known when this folder is named on the command line."""
    parser.addoption("--containers", action="store_true", help="build the images and run them")
    parser.addoption("--soak-seconds", type=float, default=5, help="how long test_soak.py keeps each service under load")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Time enough for a build; without the option a skip, with a word on how to run the tests."""
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.deadline(BUILD_TIMEOUT_S + config.getoption("--soak-seconds", default=0)))
            if item.path.name not in PLAIN and not config.getoption("--containers", default=False):
                item.add_marker(pytest.mark.skip(reason="images: NOT VERIFIED here, `make image-test` does"))


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """What was measured on the way; or that nothing could be tried."""
    if measured := config.stash.get(MEASURED, None):
        terminalreporter.section("measured: 128 MiB and half a CPU to start, 4,000 requests, one worker")
        terminalreporter.write_line(f"{'':<10}" + "".join(f"{figure:>22}" for figure in FIGURES))
        for name, figures in sorted(measured.items()):
            terminalreporter.write_line(f"{name:<10}" + "".join(f"{figures.get(figure, '–'):>22}" for figure in FIGURES))
    if REASON in config.stash:
        terminalreporter.section("IMAGES NOT VERIFIED", sep="!", red=True, bold=True)
        terminalreporter.write_line(f"No image was built or run: {config.stash[REASON]}.")


@pytest.fixture(scope="session")
def engine(request: pytest.FixtureRequest) -> Iterator[Engine]:
    """A running engine that has the base image. Ends the run as a failure when there can be none."""
    with contextlib.ExitStack() as stack:
        try:
            engine = stack.enter_context(find_engine())
            origin = provide_base_image(engine)
        except NotVerified as reason:
            request.config.stash[REASON] = str(reason)
            pytest.exit(f"images NOT VERIFIED: {reason}", returncode=1)
        with request.config.pluginmanager.getplugin("capturemanager").global_and_fixture_disabled():
            print(f"\nBase image python:{PYTHON}-slim-bookworm: {origin}")  # noqa: T201  whoever reads the log asks that
        yield engine


@pytest.fixture(scope="session", params=NAMES)
def service_name(request: pytest.FixtureRequest) -> str:
    """Every service in turn."""
    return str(request.param)


@pytest.fixture
def measured(request: pytest.FixtureRequest, service_name: str) -> dict[str, str]:
    """The service's line in the table at the end of the run; a test adds what it measured."""
    return request.config.stash.setdefault(MEASURED, {}).setdefault(service_name, {})


@pytest.fixture(scope="session")
def image(engine: Engine, service_name: str) -> str:
    """The service's image."""
    return _build(engine, service_name)


@pytest.fixture(scope="session")
def any_image(engine: Engine) -> str:
    """The image of one service, for what does not depend on which."""
    return _build(engine, NAMES[-1])


def _build(engine: Engine, name: str) -> str:
    tag = f"fairlead-test/{name}"
    engine.build(name, tag)  # built again it costs a second: every layer is known
    return tag


@dataclass(frozen=True)
class Deployment:
    """How a container is started, and how it is reached on this machine."""

    engine: Engine
    image: str
    port: int
    management_port: int
    options: tuple[str, ...]

    @contextlib.contextmanager
    def start(self, *command: str, options: Sequence[str] = ()) -> Iterator[Container]:
        """The running container."""
        with self.engine.container(self.image, *command, options=[*self.options, *options]) as container:
            yield container

    def get(self, path: str, *, management: bool = False, timeout_s: float = 30) -> tuple[int, bytes]:
        """Status and body of a GET request."""
        port = self.management_port if management else self.port
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout_s)
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()

    def get_often(self, path: str, *, times: int) -> Counter[int]:
        """The statuses of that many requests, one after another over one connection."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        seen: Counter[int] = Counter()
        try:
            for _ in range(times):
                connection.request("GET", path)
                response = connection.getresponse()
                response.read()
                seen[response.status] += 1
        finally:
            connection.close()
        return seen

    def await_status(self, status: int, path: str, container: Container) -> float:
        """Waits until a probe answers with the status; how long that took, in seconds."""
        began = time.monotonic()
        deadline = began + START_DEADLINE_S
        seen: tuple[int, bytes] | None = None
        while time.monotonic() < deadline and container.is_running:
            with contextlib.suppress(OSError):
                seen = self.get(path, management=True, timeout_s=5)
                if seen[0] == status:
                    return time.monotonic() - began
            time.sleep(0.1)
        raise AssertionError(f"{path} never gave {status} (last: {seen})\n{container.logs}")


def free_port() -> int:
    """A port of 127.0.0.1 that nobody uses."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def variables(environ: dict[str, str]) -> tuple[str, ...]:
    """The environment as options of `docker run`."""
    return tuple(f"--env={name}={value}" for name, value in environ.items())


@pytest.fixture
def plan(service_name: str) -> tuple[Service, tuple[Service, ...]]:
    """The service and all of them, on free ports."""
    services = with_ports(read_services(ROOT), free_port)
    return next(each for each in services if each.name == service_name), services


@pytest.fixture
def deployment(engine: Engine, image: str, plan: tuple[Service, tuple[Service, ...]], request: pytest.FixtureRequest) -> Deployment:
    """The service beside a real PostgreSQL and Valkey, as far as it needs them, on 127.0.0.1 only."""
    service, services = plan
    environ = service.resolved(services, Path("/tmp"))
    if "postgres" in service.needs:
        environ["DATABASE_URL"] = request.getfixturevalue("postgres_url")
    if "redis" in service.needs:
        environ["REDIS_URL"] = request.getfixturevalue("redis_url")
    options = variables(environ | _listening(service.port, service.management_port))
    return Deployment(engine, image, service.port, service.management_port, options)


def _listening(port: int, management_port: int) -> dict[str, str]:
    return {
        "FAIRLEAD_HOST": "127.0.0.1",
        "FAIRLEAD_PORT": str(port),
        "FAIRLEAD_MANAGEMENT_HOST": "127.0.0.1",
        "FAIRLEAD_MANAGEMENT_PORT": str(management_port),
    }


@pytest.fixture
def second(bare: Deployment) -> Deployment:
    """The same image a second time, on ports of its own."""
    port, management_port = free_port(), free_port()
    return Deployment(bare.engine, bare.image, port, management_port, variables(_listening(port, management_port)))


@pytest.fixture
def bare(engine: Engine, any_image: str) -> Deployment:
    """An image on free ports, without a service's settings."""
    port, management_port = free_port(), free_port()
    return Deployment(engine, any_image, port, management_port, variables(_listening(port, management_port)))
