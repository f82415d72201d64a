"""The command line: which command is meant, what it prints, how it ends."""

from __future__ import annotations

import importlib
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from fairlead.cli import ALIASES, COMMANDS, ELSEWHERE, main
from fairlead.errors import ConfigurationError

Capture = pytest.CaptureFixture[str]


def run(*words: str) -> int:
    """The exit status, argparse's included."""
    try:
        return main(words)
    except SystemExit as end:
        return int(str(end.code))


@pytest.mark.parametrize("words", [["--help"], ["-h"], ["help"]])
def test_the_overview_lists_every_command(capsys: Capture, words: list[str]) -> None:
    """Every command with its purpose, and the short form."""
    assert run(*words) == 0
    shown = capsys.readouterr().out
    assert all(f"  {name} " in shown and purpose in shown for name, purpose in COMMANDS.items())
    assert "fairlead MODULE:NAME" in shown


def test_nothing_at_all_is_the_overview_and_an_error(capsys: Capture) -> None:
    """A script that forgot its arguments notices."""
    assert run() == 2
    assert "usage: fairlead COMMAND" in capsys.readouterr().out


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(capsys: Capture, command: str) -> None:
    """Each is a module of its own with `add_arguments` and `run`."""
    assert run(command, "--help") == 0
    shown = capsys.readouterr().out
    assert shown.startswith(f"usage: fairlead {command}")
    assert callable(importlib.import_module(f"fairlead.cli.{command}").run)


@pytest.mark.parametrize("alias", ["check-config", "check"])
def test_check_config_is_check(capsys: Capture, alias: str) -> None:
    """Whoever operates an image asks for its configuration to be checked: the same command by that name."""
    assert run(alias) == 2
    assert capsys.readouterr().err == "fairlead: nothing to serve: name it as MODULE:NAME, or set FAIRLEAD_TARGET\n"


def test_an_alias_is_no_command() -> None:
    """Each alias leads to a command that exists, and hides none."""
    assert set(ALIASES.values()) <= set(COMMANDS)
    assert not set(ALIASES) & set(COMMANDS)
    assert set(ELSEWHERE.values()) <= set(COMMANDS)
    assert not set(ELSEWHERE) & {*COMMANDS, *ALIASES}


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["bogus"], "fairlead: there is no command 'bogus' (see fairlead --help)\n"),
        (["sevre"], "fairlead: there is no command 'sevre'; did you mean 'serve'? (see fairlead --help)\n"),
        (["live"], "fairlead: there is no command 'live'; did you mean 'serve'? (see fairlead --help)\n"),
        (["Route"], "fairlead: there is no command 'Route'; did you mean 'routes'? (see fairlead --help)\n"),
        (
            ["status", "--scoket=x"],
            "fairlead status: unrecognized arguments: --scoket=x; did you mean '--socket'? (see fairlead status --help)\n",
        ),
        (["--bogus"], "fairlead: there is no command '--bogus' (see fairlead --help)\n"),
        (["serve", "--bogus"], "fairlead serve: unrecognized arguments: --bogus (see fairlead serve --help)\n"),
        (["serve", "-p", "x"], "fairlead serve: argument -p/--port: invalid int value: 'x' (see fairlead serve --help)\n"),
        (["serve", "-w", "0"], "fairlead serve: argument -w/--workers: '0' is no number of workers (see fairlead serve --help)\n"),
        (["check", "a b:c"], "fairlead: 'a b:c' is not of the form MODULE:NAME, such as shop.main:create_app\n"),
        (["check"], "fairlead: nothing to serve: name it as MODULE:NAME, or set FAIRLEAD_TARGET\n"),
        (["serve", "a", "--log-level", "x"], "fairlead: FAIRLEAD_LOG_LEVEL: 'x' is none of"),
        (["shop:app", "--port", "70000"], "fairlead: FAIRLEAD_PORT: 70000 is no port\n"),
        (["migrate"], "fairlead: nothing to migrate: name a package, or set FAIRLEAD_TARGET\n"),
        (["migrate", "shop"], "fairlead: DATABASE_URL is not set\n"),
    ],
)
def test_bad_input_is_one_line_and_status_2(capsys: Capture, monkeypatch: pytest.MonkeyPatch, words: list[str], line: str) -> None:
    """K7: no usage text, no traceback."""
    monkeypatch.delenv("DATABASE_URL", raising=False)
    assert run(*words) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith(line)
    assert shown.err.count("\n") == 1


def test_every_problem_is_a_line(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    """K7: an exception with an exit status is an answer for the operator."""

    def refuse(arguments: object) -> int:
        raise ConfigurationError("A is not set", "B is odd")

    monkeypatch.setattr("fairlead.cli.version.run", refuse)
    assert run("version") == 2
    assert capsys.readouterr().err == "fairlead: A is not set\nfairlead: B is odd\n"


def test_a_fault_shows_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    """Anything else is not for us to hide."""
    monkeypatch.setattr("fairlead.cli.version.run", lambda arguments: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        run("version")


def test_an_interrupt_is_no_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C ends a command with the shell's usual status."""

    def interrupt(arguments: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr("fairlead.cli.version.run", interrupt)
    assert run("version") == 130


@pytest.mark.parametrize("words", [["version"], ["--version"], ["-V"]])
def test_version(capsys: Capture, words: list[str]) -> None:
    """What a bug report should name; a package that is missing is said to be."""
    assert run(*words) == 0
    shown = capsys.readouterr().out
    assert all(f"{package} " in shown for package in ("fairlead", "uvloop", "httptools", "msgspec", "websockets", "python"))


def test_version_of_what_is_not_installed(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    """uvloop is optional."""
    monkeypatch.setattr("fairlead.cli.version.PACKAGES", ("not-to-be-found",))
    assert run("version") == 0
    assert "not-to-be-found not installed" in capsys.readouterr().out


def test_only_the_command_that_was_asked_for_is_imported() -> None:
    """A health check every ten seconds does not load a server or a database driver."""
    code = "import sys; from fairlead.cli import main; main(['version']); print(sorted(sys.modules))"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert "fairlead.cli.version" in shown
    for module in ("fairlead.cli.serve", "fairlead.cli.migrate", "fairlead.workers.serving", "asyncpg", "alembic"):
        assert f"'{module}'" not in shown


def test_a_command_whose_library_is_missing_says_what_to_install(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    """K7: `migrate` needs an extra."""
    monkeypatch.setenv("DATABASE_URL", "postgresql://nowhere/")
    monkeypatch.setattr("fairlead.cli.migrate.configure_logs", lambda *_: None)
    monkeypatch.setitem(sys.modules, "fairlead.postgres.migrations", None)
    assert run("migrate", "shop") == 2
    assert "pip install 'fairlead[postgres]'" in capsys.readouterr().err


# --- commands that import the service --------------------------------------------------------------------------------


SHOP = """
from fairlead import App, Blueprint
from fairlead.response import text

app = App("shop")
prices = Blueprint("prices", url_prefix="/prices")

@app.get("/")
async def index(request):
    return text("")

@prices.route("/<sku:str>", methods=["GET", "PATCH"])
async def price(request, sku):
    return text(sku)

@app.websocket("/feed")
async def feed(request, ws):
    pass

async def database():
    pass

app.blueprint(prices)
app.health.add("database", database)
"""

Folder = Callable[[str], Path]


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Folder:
    """Write `shop.py` into a folder of its own, go there, and forget the module afterwards."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", sys.path[:])
    monkeypatch.delitem(sys.modules, "shop", raising=False)

    def write(code: str) -> Path:
        (tmp_path / "shop.py").write_text(code)
        monkeypatch.setitem(sys.modules, "shop", None)
        monkeypatch.delitem(sys.modules, "shop")
        return tmp_path

    return write


def test_routes(shop: Folder, capsys: Capture) -> None:
    """A table in the order of registration; blueprints with their prefix, websockets marked."""
    shop(SHOP)
    assert run("routes", "shop") == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert rows == [
        ["METHODS", "PATH", "NAME", "HANDLER"],
        ["GET", "/", "shop.index", "shop.index"],
        ["WEBSOCKET", "/feed", "shop.feed", "shop.feed"],
        ["GET,PATCH", "/prices/<sku:str>", "shop.prices.price", "shop.price"],
    ]


def test_check(shop: Folder, capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was found in a line; the target may come from the environment."""
    shop(SHOP)
    monkeypatch.setenv("FAIRLEAD_TARGET", "shop:app")
    assert run("check") == 0
    assert capsys.readouterr().out == ("shop: 3 routes (1 websocket), 1 blueprint, 1 health check; the configuration is valid\n")


def test_check_warns_of_debug_mode(shop: Folder, capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    """T2: it is loud here, too."""
    shop(SHOP)
    monkeypatch.setenv("FAIRLEAD_DEBUG", "true")
    assert run("check", "shop:app") == 0
    assert "warning: DEBUG is on" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("code", "status", "line"),
    [
        ("raise RuntimeError('no route')", 1, "fairlead: shop:app cannot start: RuntimeError: no route"),
        (f"{SHOP}\napp.get('/')(index)", 1, "fairlead: shop:app cannot start: "),
        (
            "from fairlead.errors import ConfigurationError\ndef app(): raise ConfigurationError('A is not set')",
            2,
            "fairlead: A is not set",
        ),
        ("", 2, "fairlead: module 'shop' has no 'app' (target shop:app)"),
    ],
)
def test_check_finds_what_would_fail(shop: Folder, capsys: Capture, code: str, status: int, line: str) -> None:
    """K7: code that fails is 1 and shows where, configuration that is wrong is 2 and one line."""
    shop(code)
    assert run("check", "shop:app") == status
    assert capsys.readouterr().err.splitlines()[-1].startswith(line)


@pytest.mark.parametrize("command", ["check", "routes", "openapi", "exec"])
def test_what_the_application_raises(shop: Folder, capsys: Capture, command: str) -> None:
    """Its own lines and the cause, and not how the command line came there."""
    shop("raise OSError('no disk')\n")
    assert run(command, "shop:app") == 1
    shown = capsys.readouterr().err
    assert shown.startswith("Traceback")
    assert shown.endswith("OSError: no disk\nfairlead: shop:app cannot start: OSError: no disk\n")
    assert "fairlead/cli" not in shown


def test_check_reads_the_environment(shop: Folder, capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    """K7: a name that is no setting."""
    shop(SHOP)
    monkeypatch.setenv("FAIRLEAD_PROT", "1")
    assert run("check", "shop:app") == 2
    assert capsys.readouterr().err == "fairlead: FAIRLEAD_PROT is no setting of fairlead; did you mean FAIRLEAD_PORT?\n"


def test_the_signals_come_before_the_framework() -> None:
    """K3: what `serve` imports until it has its handlers is no application and no event loop."""
    code = "import sys, fairlead.cli.serve, fairlead.cli.target; print({'fairlead.app', 'asyncio'} & {*sys.modules})"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"
