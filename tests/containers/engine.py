"""A container engine for the tests: the machine's own where one answers, else a private one that leaves nothing behind.

How this works. `find_engine` asks the docker client for a running engine. Without one, and as root on Debian, it installs
`docker.io` if that is missing and starts a `dockerd` of its own: data, sockets and pid file below one temporary folder,
no bridge and no firewall rules (the tests use the host's network, bound to 127.0.0.1), tied to this process so that even
a killed test run leaves no daemon. Whatever is not possible raises `NotVerified` with the reason in one sentence.

Rejected: podman (no health checks of its own in Debian's version), pulling images here (a test that depends on a
registry's mood; a pipeline pulls the base beforehand, see `base_image`).
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]

BUILD_TIMEOUT_S = 900
START_TIMEOUT_S = 60

HARDENED = (
    *("--read-only", "--tmpfs", "/tmp"),
    *("--user", "10001:10001"),
    *("--cap-drop", "ALL"),
    *("--security-opt", "no-new-privileges"),
    *("--pids-limit", "100"),
)
"""What the chart's security context asks for, in the engine's words."""


class NotVerified(Exception):
    """This machine can't run containers; the text says why. Never to be taken for a pass."""


@dataclass(frozen=True)
class Engine:
    """A docker client and the engine that it speaks to."""

    client: str
    environ: Mapping[str, str] = field(repr=False)

    def run(self, *arguments: str, timeout_s: float = 120, check: bool = True) -> subprocess.CompletedProcess[str]:
        """One client command. Raises AssertionError with the client's words when it fails, unless `check` is off."""
        done = subprocess.run(
            [self.client, *arguments], env=self.environ, capture_output=True, text=True, timeout=timeout_s, check=False
        )
        assert not check or done.returncode == 0, f"docker {' '.join(arguments)}\n{done.stdout}{done.stderr}"
        return done

    def has_image(self, tag: str) -> bool:
        """Whether the image is there without asking a registry."""
        return self.run("image", "inspect", tag, check=False).returncode == 0

    def build(self, service: str, tag: str, *, build_kit: bool = True, arguments: Sequence[str] = ()) -> None:
        """The repository's Dockerfile for one service, by BuildKit or the classic builder."""
        options = [f"--build-arg=SERVICE={service}", *arguments, f"--tag={tag}", "--network=host", "--pull=false"]
        done = subprocess.run(
            [self.client, "build", *options, str(ROOT)],
            env={**self.environ, "DOCKER_BUILDKIT": str(int(build_kit))},
            capture_output=True,
            text=True,
            timeout=BUILD_TIMEOUT_S,
            check=False,
        )
        assert done.returncode == 0, f"docker build {' '.join(options)}\n{done.stdout[-4000:]}{done.stderr[-4000:]}"

    def inspect(self, name: str) -> dict[str, Any]:
        """What the engine knows of a container or an image."""
        described: list[dict[str, Any]] = json.loads(self.run("inspect", name).stdout)
        return described[0]

    @contextlib.contextmanager
    def container(self, image: str, *command: str, options: Sequence[str] = ()) -> Iterator[Container]:
        """A hardened container on the host's network; removed at the end, whatever happened."""
        started = self.run("run", "--detach", "--pull=never", "--network=host", *HARDENED, *options, image, *command)
        container = Container(self, started.stdout.strip())
        try:
            yield container
        finally:
            self.run("rm", "--force", "--volumes", container.name)


@dataclass(frozen=True)
class Container:
    """A container that was started."""

    engine: Engine
    name: str

    @property
    def logs(self) -> str:
        """All that it wrote, stdout then stderr."""
        done = self.engine.run("logs", self.name)
        return done.stdout + done.stderr

    @property
    def is_running(self) -> bool:
        """Whether its first process still lives."""
        return bool(self.engine.inspect(self.name)["State"]["Running"])

    @property
    def was_killed_for_memory(self) -> bool:
        """Whether the kernel ended a process of it for want of memory."""
        return bool(self.engine.inspect(self.name)["State"]["OOMKilled"])

    @property
    def process_count(self) -> int:
        """How many processes run in it."""
        return len(self.resident_bytes)

    @property
    def resident_bytes(self) -> list[int]:
        """The resident memory of each of its processes, in the order in which they were started; health checks come and
        go and are left out."""
        lines = self.engine.run("top", self.name, "-o", "pid,rss,args").stdout.splitlines()[1:]
        rows = [line.split(maxsplit=2) for line in lines]
        return [int(rss) * 1024 for pid, rss, words in sorted(rows, key=lambda row: int(row[0])) if "healthcheck" not in words]

    def await_health(self, health: str, timeout_s: float = 30) -> None:
        """Returns when the image's own HEALTHCHECK has found this: `healthy` or `unhealthy`."""
        deadline = time.monotonic() + timeout_s
        while (seen := self.engine.inspect(self.name)["State"]["Health"])["Status"] != health:
            assert time.monotonic() < deadline, seen
            time.sleep(0.2)

    def await_log(self, text: str, timeout_s: float = 30) -> None:
        """Returns when it has written this."""
        deadline = time.monotonic() + timeout_s
        while text not in (seen := self.logs):
            assert self.is_running, seen
            assert time.monotonic() < deadline, seen
            time.sleep(0.1)

    def signal(self, name: str) -> None:
        """Sends a signal to its first process."""
        self.engine.run("kill", f"--signal={name}", self.name)

    def wait(self, timeout_s: float = 60) -> int:
        """Waits for its end; the exit code."""
        return int(self.engine.run("wait", self.name, timeout_s=timeout_s).stdout)


@dataclass
class PrivateEngine:
    """A `dockerd` of the tests' own, below one temporary folder."""

    folder: Path = field(default_factory=lambda: Path(tempfile.mkdtemp(prefix="engine-", dir="/var/tmp")))

    def __enter__(self) -> Engine:
        socket = f"unix://{self.folder}/docker.sock"
        command = ["setpriv", "--pdeathsig", "TERM", "dockerd", "--host", socket, "--bridge=none"]
        command += ["--iptables=false", "--ip6tables=false", "--ip-forward=false", "--ip-masq=false"]
        command += [f"--data-root={self.folder}/data", f"--exec-root={self.folder}/exec"]
        command += [f"--pidfile={self.folder}/pid"]
        log = (self.folder / "log").open("wb")
        self._daemon = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
        log.close()
        environ = {**os.environ, "DOCKER_HOST": socket, "DOCKER_CONFIG": str(self.folder)}
        engine = Engine("/usr/bin/docker", environ)
        try:
            self._await_answer(engine)
        except BaseException:
            self.__exit__()
            raise
        return engine

    def _await_answer(self, engine: Engine) -> None:
        deadline = time.monotonic() + START_TIMEOUT_S
        while engine.run("version", check=False).returncode:
            if self._daemon.poll() is not None or time.monotonic() > deadline:
                lines = (self.folder / "log").read_text(errors="replace").splitlines()
                raise NotVerified(f"dockerd does not start: {lines[-1] if lines else 'no output'}")
            time.sleep(0.1)

    def __exit__(self, *_: object) -> None:
        self._daemon.terminate()
        try:
            self._daemon.wait(30)
        except subprocess.TimeoutExpired:
            self._daemon.kill()
            self._daemon.wait()
        mounts = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
        for point in sorted((point for point in mounts if point.startswith(f"{self.folder}/")), reverse=True):
            subprocess.run(["umount", "--lazy", point], check=False)
        shutil.rmtree(self.folder, ignore_errors=True)


@contextlib.contextmanager
def find_engine() -> Iterator[Engine]:
    """The machine's engine, or a private one. Raises `NotVerified`."""
    client = shutil.which("docker")
    running = Engine(client, dict(os.environ)) if client else None
    if running and running.run("version", check=False).returncode == 0:
        yield running
        return
    if sys.platform != "linux" or os.geteuid() != 0:
        raise NotVerified("no container engine answers, and only root on Linux can start one")
    install("dockerd", "docker.io", "iptables")
    with PrivateEngine() as engine:
        yield engine


def install(program: str, *packages: str) -> None:
    """Debian packages for a program that is missing. Raises `NotVerified` where there is no apt or it fails."""
    if shutil.which(program):
        return
    if not shutil.which("apt-get"):
        raise NotVerified(f"{program} is not installed, and there is no apt-get to install it with")
    command = ["apt-get", "install", "--yes", "--no-install-recommends", *packages]
    environ = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)
    if done.returncode:
        raise NotVerified(f"{' '.join(packages)} can't be installed: {done.stderr.strip().splitlines()[-1:]}")
