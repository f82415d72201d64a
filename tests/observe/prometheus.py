"""A Prometheus of our own: Debian's program, from the machine or unpacked below .tools/, scraping what it is told to."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import sys
import tempfile
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Self

import yaml

from fairlead.local.child import Child, last_line
from fairlead.local.ports import free_port

ROOT = Path(__file__).parents[2]
UNPACKED = ROOT / ".tools" / "prometheus"
START_TIMEOUT_S = 30.0
STOP_TIMEOUT_S = 10.0


class Missing(Exception):
    """There is no Prometheus, and it can't be had; the text says why, and what to do."""


def program(name: str) -> Path:
    """`prometheus` or `promtool`: the machine's, or Debian's package unpacked (nothing is installed). Raises `Missing`."""
    found = shutil.which(name)
    if found:
        return Path(found)
    path = UNPACKED / "usr" / "bin" / name
    if not path.exists():
        _unpack(name)
    return path


def _unpack(name: str) -> None:
    if not shutil.which("apt-get"):
        raise Missing(f"{name} is not on the PATH: `brew install prometheus`, or https://prometheus.io/download")
    UNPACKED.parent.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=UNPACKED.parent) as folder:
        sys.stderr.write(f"{name}: fetching Debian's package (nothing is installed) …\n")
        done = subprocess.run(["apt-get", "download", "prometheus"], cwd=folder, capture_output=True, text=True, check=False)
        packages = list(Path(folder).glob("*.deb"))
        if done.returncode or not packages:
            said = (done.stderr.strip().splitlines() or ["apt-get said nothing"])[-1]
            raise Missing(f"{name} is not on the PATH, and Debian's package can't be fetched ({said}): apt-get install prometheus")
        subprocess.run(["dpkg", "-x", str(packages[0]), f"{folder}/prometheus"], check=True)
        Path(folder, "prometheus").rename(UNPACKED)  # whole, or not at all


class Target(NamedTuple):
    """One service, as a pod of a release would be found."""

    service: str
    address: str
    """host:port of its management port."""


class Prometheus:
    """`async with Prometheus(folder, targets) as prometheus: await prometheus.query("up")`. Data goes to `folder`."""

    def __init__(
        self,
        folder: Path,
        targets: Sequence[Target],
        *,
        namespace: str = "local",
        interval_s: int = 1,
        port: int = 0,
        rules: Sequence[Mapping[str, Any]] = (),
    ) -> None:
        self._program = program("prometheus")
        self._folder = folder
        self._port = port or free_port()
        self._child: Child | None = None
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "rules.yaml").write_text(yaml.safe_dump({"groups": [{"name": "alerts", "rules": [dict(one) for one in rules]}]}))
        scrapes = [
            {
                "job_name": target.service,
                "static_configs": [{"targets": [target.address], "labels": {"namespace": namespace, "pod": f"{target.service}-1"}}],
            }
            for target in targets
        ]
        settings = {
            "global": {"scrape_interval": f"{interval_s}s", "evaluation_interval": f"{interval_s}s"},
            "rule_files": ["rules.yaml"],
            "scrape_configs": scrapes,
        }
        (folder / "prometheus.yaml").write_text(yaml.safe_dump(settings))

    @property
    def url(self) -> str:
        """Where its own pages are."""
        return f"http://127.0.0.1:{self._port}"

    async def __aenter__(self) -> Self:
        command = [
            str(self._program),
            f"--config.file={self._folder / 'prometheus.yaml'}",
            f"--storage.tsdb.path={self._folder / 'data'}",
            "--storage.tsdb.retention.time=1d",
            f"--web.listen-address=127.0.0.1:{self._port}",
            "--enable-feature=exemplar-storage",
            "--log.level=warn",
        ]
        log = self._folder / "prometheus.log"
        log.unlink(missing_ok=True)
        self._child = await Child.start(command, output=log)  # ends with this process, however that ends
        try:
            async with asyncio.timeout(START_TIMEOUT_S):
                while not await self._is_ready():
                    if self._child.status is not None:
                        raise RuntimeError(f"Prometheus did not start: {last_line(log)}")
                    await asyncio.sleep(0.1)
        except BaseException:
            await self._child.stop(STOP_TIMEOUT_S)
            raise
        return self

    async def __aexit__(self, *exc: object) -> None:
        assert self._child is not None
        await self._child.stop(STOP_TIMEOUT_S)

    async def _is_ready(self) -> bool:
        try:
            await asyncio.to_thread(self.get, "/-/ready")
        except OSError:
            return False
        return True

    async def query(self, expression: str) -> list[dict[str, Any]]:
        """The series of an instant query. Raises `urllib.error.HTTPError` for one that Prometheus refuses."""
        answer = json.loads(await asyncio.to_thread(self.get, f"/api/v1/query?{urllib.parse.urlencode({'query': expression})}"))
        result: list[dict[str, Any]] = answer["data"]["result"]
        return result

    async def alerts(self) -> dict[str, str]:
        """State of each alert by its name: inactive, pending or firing."""
        answer = json.loads(await asyncio.to_thread(self.get, "/api/v1/rules"))
        rules = [rule for group in answer["data"]["groups"] for rule in group["rules"]]
        assert all(rule["health"] in ("ok", "unknown") for rule in rules), rules
        return {rule["name"]: rule["state"] for rule in rules}

    def get(self, path: str) -> bytes:
        """Its answer's body; blocks. Raises `urllib.error.HTTPError` for a refusal, another OSError when it is not there."""
        with urllib.request.urlopen(self.url + path, timeout=10) as answer:
            body: bytes = answer.read()
        return body
