"""Makes the virtual environment from a lock: `python3 requirements/install.py run` (or `dev`).

It runs before anything is installed, so it stands on the standard library alone. Three steps, each repeatable: the
virtual environment, the locked wheels (`--require-hashes`, `--only-binary :all:`: nothing is ever compiled or taken
unverified), our own packages as editable installs.

What was installed is noted last, as a fingerprint of all that it was made from. The same fingerprint makes the next
call end at once; an interrupted call leaves no note, and the next one goes on where it stopped. File times play no
part, so a `git checkout` costs nothing and a copied folder, whose environment points at its old place, is noticed.
A lock on the folder itself (flock goes with the process) keeps two calls apart.

Rejected: uv or conda (a newcomer has Python and make, nothing else) and one `pip install -e .` (it would resolve and
build with whatever an index offers that day).
"""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import json
import os
import platform
import re
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LOCKS = {"run": ["run"], "dev": ["run", "dev"]}
"""What each lock satisfies: dev.txt holds every line of run.txt."""

UNREACHABLE = (
    "NewConnectionError|NameResolutionError|Temporary failure in name resolution|ConnectTimeout|ReadTimeout"
    "|ProxyError|Connection refused|Network is unreachable|SSLError|Connection to \\S+ timed out"
)
NO_WHEEL = r"(?:No matching distribution found for|Could not find a version that satisfies the requirement) ([\w.-]+)"
CAUSES = {
    "DO NOT MATCH THE HASHES": "a download is not the file that the lock names: clear pip's cache and run this again",
    "No space left on device": "the disk is full: make room and run this again",
    UNREACHABLE: "the package index cannot be reached: check the network (or pip's proxy and index) and run this again",
    NO_WHEEL: "{package} has no ready-made wheel for {machine}: choose another, as in `make setup PYTHON=python3.13`",
}
"""What pip's output holds, and what a person does about it. The first match counts."""


class SetupError(Exception):
    """The environment can't be made; the text is the one line that says what to do."""


class Progress:
    """One line for each slow step: rewritten in a terminal, printed at its start and end elsewhere."""

    def __init__(self, title: str) -> None:
        self._title = title
        self._started = time.monotonic()
        self._is_terminal = sys.stdout.isatty()
        self._print("…")

    def detail(self, text: str) -> None:
        """Shows how far the step is; only a terminal gets these."""
        if self._is_terminal:
            self._print(f"… {text}")

    def done(self) -> None:
        """Ends the step with the time that it took."""
        self._print(f"({time.monotonic() - self._started:.0f} s)", end="\n")

    def _print(self, text: str, end: str = "") -> None:
        if self._is_terminal:
            print(f"\r\x1b[2K{self._title} {text}"[:160], end=end, flush=True)
        else:
            print(f"{self._title} {text}", flush=True)


class Environment:
    """The virtual environment at `path`, and the note about what is in it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.python = path / "bin" / "python"
        self.log = path / "install.log"
        self._note = path / "installed.json"

    def version(self) -> str:
        """The interpreter's version, or "" when the environment is missing, half made or has lost its interpreter."""
        command = [str(self.python), "-c", "import pip, platform; print(platform.python_version())"]
        try:
            return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
        except (OSError, subprocess.CalledProcessError):
            return ""

    def installed(self) -> dict[str, str]:
        """The fingerprint noted for each lock."""
        try:
            note = json.loads(self._note.read_text())
        except (OSError, ValueError):
            return {}
        return note if isinstance(note, dict) else {}

    def note(self, fingerprints: dict[str, str]) -> None:
        """Writes the note; the rename makes it appear whole or not at all."""
        draft = self._note.with_suffix(".new")
        draft.write_text(json.dumps({**self.installed(), **fingerprints}, indent=1))
        draft.replace(self._note)

    def create(self) -> None:
        """Makes the environment anew with this interpreter. It replaces only what is an environment, or nothing."""
        if self.path.exists() and not (self.path / "pyvenv.cfg").exists() and any(self.path.iterdir()):
            raise SetupError(f"{self.path} exists and is no virtual environment: move it away")
        progress = Progress(f"Virtual environment for Python {platform.python_version()}")
        made = subprocess.run(
            [sys.executable, "-m", "venv", "--clear", str(self.path)], capture_output=True, text=True, check=False
        )
        if made.returncode:
            text = made.stdout + made.stderr
            if "ensurepip" in text or "No module named venv" in text:
                package = f"python{sys.version_info.major}.{sys.version_info.minor}-venv"
                raise SetupError(f"this Python has no venv module: `apt install {package}`, or choose another with PYTHON=")
            raise SetupError(f"the virtual environment can't be made: {last_line(text)}")
        progress.done()

    def pip(self, progress: Progress, *arguments: str) -> None:
        """Runs pip, shows how far it is and keeps its output in the log.

        Raises SetupError with the cause in one line when pip fails."""
        command = [str(self.python), "-m", "pip", "--disable-pip-version-check", "--no-input", *arguments]
        collected = 0
        lines: list[str] = []
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=ROOT) as process:
            assert process.stdout is not None
            for line in process.stdout:
                lines.append(line)
                collected += line.startswith("Collecting ")
                package = re.match(r"Collecting ([\w.-]+)", line)
                if package:
                    progress.detail(f"{collected} fetched, {package[1]}")
                elif line.startswith("Installing collected packages"):
                    progress.detail(f"{collected} fetched, unpacking")
        with self.log.open("a") as log:
            log.writelines([f"$ {' '.join(command)}\n", *lines])
        if process.returncode:
            raise SetupError(f"{cause_of_failure(''.join(lines), self.version())} (details: {self.log})")


def cause_of_failure(output: str, python: str) -> str:
    """Says in one line why pip failed, and what to do."""
    for pattern, advice in CAUSES.items():
        found = re.search(pattern, output)
        if found:
            machine = f"Python {python} on {platform.system()} {platform.machine()}"
            return advice.format(machine=machine, package=found[1] if found.re.groups else "")
    return f"pip failed: {last_line(output)}"


def last_line(text: str) -> str:
    """The last line that says anything."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "no output"


def own_packages() -> list[Path]:
    """Our own packages: the libraries and every service that has a pyproject.toml."""
    return sorted(file.parent for room in ("libs", "services") for file in ROOT.glob(f"{room}/*/pyproject.toml"))


def fingerprint(lock: str, python: str) -> str:
    """Names everything that an installation of `lock` is made from."""
    digest = hashlib.sha256(f"{ROOT}\0{python}\0{platform.machine()}".encode())
    for file in [ROOT / "requirements" / f"{lock}.txt", *(path / "pyproject.toml" for path in own_packages())]:
        digest.update(f"\0{file}\0".encode() + file.read_bytes())
    return digest.hexdigest()


def install(environment: Environment, lock: str, *, with_this_python: bool) -> None:
    """Brings the environment to what the lock says; returns at once when it is there already."""
    version = environment.version()
    if not version or (with_this_python and version != platform.python_version()):
        environment.create()
        version = platform.python_version()
    if environment.installed().get(lock) == fingerprint(lock, version):
        return
    file = ROOT / "requirements" / f"{lock}.txt"
    count = len(re.findall(r"^[\w.-]+==", file.read_text(), re.MULTILINE))
    progress = Progress(f"{count} locked packages, {lock}.txt")
    environment.pip(progress, "install", "--require-hashes", "--only-binary", ":all:", "-r", str(file))
    progress.done()
    packages = own_packages()
    progress = Progress(f"Our own: {', '.join(path.name for path in packages)}")
    editable = [word for path in packages for word in ("--editable", str(path))]
    environment.pip(progress, "install", "--no-deps", "--no-build-isolation", *editable)
    progress.done()
    environment.note({name: fingerprint(name, version) for name in LOCKS[lock]})


def main() -> None:
    """Reads the command line and turns every expected failure into one line."""
    parser = argparse.ArgumentParser(description="Make the virtual environment from a lock.")
    parser.add_argument("lock", choices=sorted(LOCKS))
    parser.add_argument("--environment", default=".venv", help="where it is (default: .venv)")
    parser.add_argument("--with-this-python", action="store_true", help="make it anew when it holds another version")
    arguments = parser.parse_args()
    folder = os.open(str(ROOT), os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        print("Waiting for another set-up in this folder …", flush=True)
        fcntl.flock(folder, fcntl.LOCK_EX)
    environment = Environment(ROOT / arguments.environment)
    install(environment, arguments.lock, with_this_python=arguments.with_this_python)


if __name__ == "__main__":
    try:
        main()
    except SetupError as error:
        sys.exit(f"\nset-up: {error}")
    except KeyboardInterrupt:
        sys.exit("\nset-up: interrupted; the next call goes on from here")
