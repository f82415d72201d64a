"""Commands of an application's own (S)."""

from __future__ import annotations

from typing import Any

import pytest

from fairlead import App
from fairlead.errors import CommandError


def make_app(called: list[Any]) -> App:
    """An application with a command of each kind."""
    app = App("shop")

    @app.command
    async def greet(name: str = "world") -> str:
        """Say hello.

        And no more.
        """
        called.append(name)
        return f"Hello, {name}."

    @app.command(name="import")
    def import_items(app: App, path: str, limit: int = 10, ratio: float | None = None, dry_run: bool = False) -> None:
        called.append((app.name, path, limit, ratio, dry_run))

    @app.command
    def tag(tags: list[int]) -> None:
        called.append(tags)

    @app.command
    def anything(**options: Any) -> None:
        called.append(options)

    @app.command
    def untyped(size=1) -> None:  # type: ignore[no-untyped-def]
        called.append(size)

    return app


@pytest.mark.parametrize(
    ("name", "words", "expected"),
    [
        ("greet", [], "world"),
        ("greet", ["--name=Ada"], "Ada"),
        ("import", ["--path=a=b"], ("shop", "a=b", 10, None, False)),
        ("import", ["--path=x", "--limit=3", "--ratio=0.5", "--dry-run"], ("shop", "x", 3, 0.5, True)),
        ("tag", ["--tags=1", "--tags=2"], [1, 2]),
        ("tag", ["--tags=1"], [1]),
        ("anything", ["--a=1", "--b-c=2"], {"a": "1", "b_c": "2"}),
        ("untyped", ["--size=7"], 7),
    ],
)
async def test_calling(name: str, words: list[str], expected: object) -> None:
    """Words become arguments of the types that the command names; the first parameter may be the application."""
    called: list[Any] = []
    app = make_app(called)
    result = await app.commands.run(app, name, words)
    assert called == [expected]
    assert result == (f"Hello, {expected}." if name == "greet" else None)


@pytest.mark.parametrize(
    ("name", "words", "message"),
    [
        ("none", [], "shop has no command 'none'; there are: greet, import, tag, anything, untyped"),
        ("greet", ["Ada"], "greet: 'Ada' is not of the form --name=value"),
        ("greet", ["--nme=x"], r"greet: there is no --nme; did you mean '--name'\? \(usage: greet \[--name=world\]\)"),
        ("import", [], "import: --path is missing"),
        ("import", ["--path=x", "--limit=many"], "import: --limit=many: Expected `int`"),
        ("import", ["--path=x", "--path=y"], "import: --path was given more than once"),
    ],
)
async def test_wrong_input(name: str, words: list[str], message: str) -> None:
    """Is one line that says what is wrong."""
    app = make_app([])
    with pytest.raises(CommandError, match=message):
        await app.commands.run(app, name, words)


def test_describing() -> None:
    """Each with its usage and the first line of its docstring; a name stands for one command."""
    app = make_app([])
    described = app.commands.describe()
    assert described[0] == ("greet [--name=world]", "Say hello.")
    assert described[1][0] == "import --path=… [--limit=10] [--ratio=None] [--dry_run=False]"
    assert described[3] == ("anything [--name=value …]", "")
    assert (len(app.commands), next(iter(app.commands))) == (5, "greet")
    with pytest.raises(ValueError, match="two commands named 'greet'"):
        app.command(lambda: None, name="greet")
