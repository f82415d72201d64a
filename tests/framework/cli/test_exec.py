"""`fairlead exec` and `fairlead repl`: an application at hand, outside of its server (S)."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest

from fairlead.cli import main

PROGRAM = '''
from fairlead import App, json

app = App("shop")
bare = App("bare")


@app.before_server_start
async def open_store(app):
    app.ctx.store = ["nut"]


@app.after_server_stop
async def close_store(app):
    print("closed")


@app.command
async def count(app, least: int = 0):
    """Count the items."""
    return max(len(app.ctx.store), least)


@app.command
def fails():
    raise RuntimeError("on purpose")


@app.command
def tidy():
    """Say nothing."""


@app.get("/items")
async def items(request):
    return json(request.app.ctx.store)
'''


@pytest.fixture(autouse=True)
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A module `shop_of_commands` in the current folder."""
    (tmp_path / "shop_of_commands.py").write_text(PROGRAM)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "shop_of_commands", raising=False)


def test_a_command_runs_between_the_listeners(capsys: pytest.CaptureFixture[str]) -> None:
    """What they open is there; the result is printed."""
    assert main(["exec", "shop_of_commands:app", "count", "--least=3"]) == 0
    assert capsys.readouterr().out == "closed\n3\n"


def test_a_command_that_returns_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing of it is printed, not even an empty line."""
    assert main(["exec", "shop_of_commands:app", "tidy"]) == 0
    assert capsys.readouterr().out == "closed\n"


def test_the_target_may_come_from_the_environment(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """As in an image, whose service is known."""
    monkeypatch.setenv("FAIRLEAD_TARGET", "shop_of_commands:app")
    assert main(["exec", "count"]) == 0
    assert capsys.readouterr().out == "closed\n1\n"


def test_listing(capsys: pytest.CaptureFixture[str]) -> None:
    """Without a command: all of them."""
    assert main(["exec", "shop_of_commands:app"]) == 0
    assert capsys.readouterr().out == "count [--least=0]  Count the items.\nfails\ntidy  Say nothing.\n"
    assert main(["exec", "shop_of_commands:bare"]) == 0
    assert capsys.readouterr().out == "bare has no commands\n"


def test_failures(capsys: pytest.CaptureFixture[str]) -> None:
    """Wrong input is one line and 2; what a command raises comes through, and what was opened is closed."""
    assert main(["exec", "shop_of_commands:app", "cuont"]) == 2
    assert "fairlead: shop has no command 'cuont'; did you mean 'count'?\n" in capsys.readouterr().err
    with pytest.raises(RuntimeError, match="on purpose"):
        main(["exec", "shop_of_commands:app", "fails"])
    assert capsys.readouterr().out == "closed\n"


def test_a_prompt_that_awaits(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """The application is started; names stay; an exception is shown and the prompt comes back; the end of input leaves."""
    typed = "\n".join(
        [
            "response = await client.get('/items')",
            "print(response.json(), app.name, ctx.store)",
            "1 // 0",
            "print('still here')",
            "",
        ]
    )
    monkeypatch.setattr(sys, "stdin", io.StringIO(typed))
    assert main(["repl", "shop_of_commands:app"]) == 0
    shown = capsys.readouterr()
    assert "['nut'] shop ['nut']\n" in shown.out
    assert "still here\n" in shown.out
    assert shown.out.endswith("closed\n")
    assert "ZeroDivisionError" in shown.err
    assert "shop: app, ctx, client" in shown.err


def test_leaving_by_exit(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """`exit()` ends the prompt, and the application's listeners still run."""
    monkeypatch.setattr(sys, "stdin", io.StringIO("raise SystemExit(3)\n"))
    with pytest.raises(SystemExit, match="3"):
        main(["repl", "shop_of_commands:app"])
    assert capsys.readouterr().out.endswith("closed\n")
