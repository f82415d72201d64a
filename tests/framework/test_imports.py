"""The shape of the library as the import system sees it; the floors themselves are held by import-linter."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import fairlead

PACKAGE = Path(fairlead.__file__).parent
OPTIONAL = {
    "attrs",
    "multipart",
    "pydantic",
    "alembic",
    "argon2",
    "asyncpg",
    "cryptography",
    "httpx",
    "jinja2",
    "jwt",
    "opentelemetry",
    "psutil",
    "pytest",
    "redis",
    "sqlalchemy",
    "structlog",
}

CAPABILITIES = {
    "auth",
    "channels",
    "compression",
    "cors",
    "csrf",
    "idempotency",
    "limits",
    "outbox",
    "postgres",
    "redis",
    "sessions",
    "telemetry",
    "templating",
}
"""Rooms of the sixth floor: an app that doesn't use one doesn't import it."""

ALONE = """
import contextlib, importlib, os, sys, traceback
for name in sys.argv[1].split():
    with contextlib.suppress(ImportError):
        importlib.import_module(name)
failed = 0
for name in sys.argv[2:]:
    if os.fork() == 0:
        try:
            importlib.import_module(name)
        except BaseException:
            print(name, traceback.format_exc(limit=-1), sep=": ")
            os._exit(1)
        os._exit(0)
    failed += os.wait()[1] != 0
sys.exit(failed != 0)
"""

BARE = """
import sys
from fairlead import App
app = App("bare")
app.add_route(lambda request: None, "/")
app.finalise()
print(*sys.modules)
"""


def modules() -> list[str]:
    files = sorted(PACKAGE.rglob("*.py"))
    parts = [file.relative_to(PACKAGE.parent).with_suffix("").parts for file in files if file.name != "__main__.py"]
    return [".".join(part).removesuffix(".__init__") for part in parts]


def run(program: str, *arguments: str) -> str:
    """The program's output in an interpreter that has imported nothing of ours."""
    command = [sys.executable, "-W", "error", "-c", program, *arguments]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def is_alembic_script(name: str) -> bool:
    return name.startswith("fairlead.postgres.alembic")


@pytest.mark.deadline(120)
def test_every_module_imports_alone() -> None:
    """No module leans on another having been imported before it: each is the first in a process of its own.

    Before it come only libraries of others and the package `fairlead`, which Python imports before any of its modules."""
    before = " ".join(["fairlead", "sqlalchemy.ext.asyncio", *OPTIONAL])
    run(ALONE, before, *(name for name in modules() if not is_alembic_script(name)))


def test_bare_app_loads_nothing_optional() -> None:
    """An app that uses no optional capability imports none of their libraries, installed as they are here, and none of ours."""
    assert set() == OPTIONAL & {name.partition(".")[0] for name in run(BARE).split()}
    assert set() == CAPABILITIES & {name.split(".")[1] for name in run(BARE).split() if name.startswith("fairlead.")}


def test_redis_brings_no_telemetry_along() -> None:
    """redis-py would load OpenTelemetry's SDK wherever it is installed; it is still there for whoever asks for it later."""
    loaded = run("import sys, fairlead.redis; print(*sys.modules); import opentelemetry.sdk.metrics, opentelemetry.metrics")
    assert "redis.asyncio" in loaded.split()
    assert not [name for name in loaded.split() if name.startswith("opentelemetry.")]


def test_nobody_imports_from_the_front_door() -> None:
    """Inside the library names come from where they are defined; `from fairlead import …` would tie every knot."""
    offenders = [
        str(file.relative_to(PACKAGE))
        for file in PACKAGE.rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.ImportFrom) and node.level == 0 and node.module == "fairlead"
    ]
    assert [] == offenders


def test_the_front_door_shows_what_it_has() -> None:
    """Completion lists every public name before any is loaded; each is there, and a name that isn't says so."""
    assert set(fairlead.__all__) <= set(dir(fairlead))
    assert [name for name in fairlead.__all__ if not hasattr(fairlead, name)] == []
    with pytest.raises(AttributeError, match="no attribute 'Flask'"):
        _ = fairlead.Flask
