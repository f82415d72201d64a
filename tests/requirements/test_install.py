"""requirements/install.py: repeatable, idle when there is nothing to do, and one line for what goes wrong.

Everything is real but pip, which is replaced inside the environment by a program that notes how it was called."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "requirements" / "install.py"

PIP = """
import json, os, sys
with open({calls!r}, "a") as file:
    file.write(json.dumps(sys.argv[1:]) + "\\n")
answer = {answer!r}
print(answer)
sys.exit(bool(answer))
"""


class Place:
    """A checkout with one library and one service, and a fake pip in its environment."""

    def __init__(self, root: Path, module: ModuleType) -> None:
        self.root = root
        self.module = module
        self.environment = module.Environment(root / ".venv")
        self._calls = root / "calls"
        for folder in ("libs/framework", "services/shop", "requirements"):
            (root / folder).mkdir(parents=True)
        for name in ("run", "dev"):
            (root / f"requirements/{name}.txt").write_text("rope==1\nsail==2\n")
        for folder in ("libs/framework", "services/shop"):
            (root / folder / "pyproject.toml").write_text(f"# {folder}")

    def answer_with(self, text: str) -> None:
        """Makes the environment, and in it a pip that says `text`, and fails when that is not empty."""
        if not self.environment.path.exists():
            subprocess.run([sys.executable, "-m", "venv", "--without-pip", self.environment.path], check=True)
        self.replace_pip(PIP.format(calls=str(self._calls), answer=text))

    def replace_pip(self, program: str) -> None:
        (site,) = self.environment.path.glob("lib/python*/site-packages")
        (site / "pip").mkdir(exist_ok=True)
        (site / "pip" / "__init__.py").touch()
        (site / "pip" / "__main__.py").write_text(program)

    def install(self, lock: str, *, with_this_python: bool = False) -> list[list[str]]:
        """Installs, and gives the arguments of each call of pip that this took."""
        self._calls.write_text("")
        self.module.install(self.environment, lock, with_this_python=with_this_python)
        return [json.loads(line) for line in self._calls.read_text().splitlines()]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    spec = importlib.util.spec_from_file_location("install", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "ROOT", tmp_path)
    place = Place(tmp_path, module)
    place.answer_with("")
    return place


def test_what_is_installed(place: Place) -> None:
    """Locked wheels, verified and never compiled; then our own packages, without a look at any index."""
    common = ["--disable-pip-version-check", "--no-input", "install"]
    lock = str(place.root / "requirements/run.txt")
    own = [str(place.root / folder) for folder in ("libs/framework", "services/shop")]
    expected = [
        [*common, "--require-hashes", "--only-binary", ":all:", "-r", lock],
        [*common, "--no-deps", "--no-build-isolation", "--editable", own[0], "--editable", own[1]],
    ]
    assert expected == place.install("run")


def test_nothing_to_do(place: Place) -> None:
    """A second call calls nobody; touching a file changes nothing."""
    assert place.install("run")
    (place.root / "requirements/run.txt").touch()
    assert [] == place.install("run")


def test_dev_holds_run(place: Place) -> None:
    """Who has the tools has what running needs; the other way round the tools are added."""
    assert place.install("run")
    assert place.install("dev")
    assert [] == place.install("run")


@pytest.mark.parametrize("file", ["requirements/run.txt", "services/shop/pyproject.toml"])
def test_changed(place: Place, file: str) -> None:
    """A changed lock or pyproject.toml is installed."""
    place.install("run")
    (place.root / file).write_text("other==1\n")
    assert place.install("run")


def test_new_service(place: Place) -> None:
    """A service that is added is installed with the others (C4)."""
    place.install("run")
    (place.root / "services/new").mkdir()
    (place.root / "services/new/pyproject.toml").write_text("")
    assert str(place.root / "services/new") in place.install("run")[-1]


def test_interrupted(place: Place) -> None:
    """What was not finished is not noted as done."""
    place.answer_with("ERROR: something")
    with pytest.raises(place.module.SetupError):
        place.install("run")
    place.answer_with("")
    assert place.install("run")


@pytest.mark.parametrize(
    ("output", "line"),
    [
        (
            "connection broken by 'NewConnectionError'\nERROR: No matching distribution found for uvloop==1",
            "the package index cannot be reached",
        ),
        ("ERROR: No matching distribution found for uvloop==1", "uvloop has no ready-made wheel for Python 3"),
        ("ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE.", "not the file that the lock names"),
        ("OSError: [Errno 28] No space left on device", "the disk is full"),
        ("first\nERROR: unheard of\n\n", "pip failed: ERROR: unheard of"),
    ],
)
def test_causes(place: Place, output: str, line: str) -> None:
    """Each foreseeable failure is one line that says what to do, and names the log that has the rest."""
    place.answer_with(output)
    with pytest.raises(place.module.SetupError) as caught:
        place.install("run")
    assert line in str(caught.value)
    assert str(place.environment.log) in str(caught.value)
    assert output.strip() in place.environment.log.read_text()


def test_not_an_environment(place: Place) -> None:
    """A folder that is no virtual environment is never cleared."""
    place.environment = place.module.Environment(place.root / "services")
    with pytest.raises(place.module.SetupError, match="is no virtual environment: move it away"):
        place.install("run")
    assert (place.root / "services/shop/pyproject.toml").exists()


def test_two_at_once(place: Place) -> None:
    """A second set-up in the same folder waits for the first instead of installing beside it."""
    (place.root / "requirements/install.py").write_text(SCRIPT.read_text())
    place.replace_pip("import os, time\nwhile not os.path.exists('go'): time.sleep(0.01)")
    command = [sys.executable, str(place.root / "requirements/install.py"), "run"]
    with (
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as first,
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as second,
    ):
        assert first.stdout is not None
        assert second.stdout is not None
        lines = {first.stdout.readline(), second.stdout.readline()}
        assert {"Waiting for another set-up in this folder …\n", "2 locked packages, run.txt …\n"} == lines
        (place.root / "go").touch()
        first.communicate()
        second.communicate()
    assert [0, 0] == [first.returncode, second.returncode]
