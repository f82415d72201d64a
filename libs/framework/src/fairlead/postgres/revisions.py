"""Which schema revision a package expects and which one the database has, without loading Alembic.

How this works. A package that keeps its schema with Fairlead has a folder ``migrations/versions`` with one Alembic
revision per file (``0001_accounts.py``). The history must be a line: one base, one head. It is read from the files'
syntax trees (`revision` and `down_revision` are constants), because every worker needs the answer once and importing
Alembic and SQLAlchemy for it costs each of them half a second and 30 MB.

The rule at start-up: a worker is ready when the database has the expected revision, *or one that this build does not
know*. The latter is a newer one: during a rolling deployment the pods of the previous release must still be able to
start after the migration ran. Migrations therefore stay compatible with the release before (expand first, contract a
release later).
"""

from __future__ import annotations

import ast
import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import asyncpg

from fairlead.errors import ConfigurationError, ServiceUnavailable

if TYPE_CHECKING:
    from fairlead.app import App
    from fairlead.postgres.database import Database

__all__ = ["History", "current_revision", "expected_revision", "read_history", "require_revision", "version_table"]


@dataclass(frozen=True, slots=True)
class History:
    """The revisions of one package, oldest first, and the folder that holds them."""

    package: str
    folder: Path
    revisions: tuple[str, ...]

    @property
    def head(self) -> str:
        return self.revisions[-1]

    def is_behind(self, revision: str | None) -> bool:
        """Is the database, which has `revision`, older than this build expects?"""
        return revision is None or (revision in self.revisions and revision != self.head)

    def after(self, revision: str | None) -> tuple[str, ...]:
        """The revisions that follow `revision`; all of them after None."""
        return self.revisions if revision is None else self.revisions[self.revisions.index(revision) + 1 :]


def version_table(package: str) -> str:
    """The table that holds the package's revision: one for each package, so that several services can share a
    database.
    """
    return f"alembic_version_{package.replace('.', '_')}"


def expected_revision(package: str) -> str:
    """The newest revision that `package` carries. Raises `ConfigurationError` when it carries none or no single
    line.
    """
    return read_history(package).head


async def current_revision(database: Database | asyncpg.Connection, package: str) -> str | None:
    """The revision of `package` that the database has; None when it was never migrated."""
    try:
        revision: str | None = await database.fetchval(f'SELECT version_num FROM "{version_table(package)}"')
    except asyncpg.UndefinedTableError:
        return None
    return revision


def require_revision(app: App[Any, Any], database: Database, package: str) -> None:
    """Keep `app` out of service (`/startupz`) until the database has the revision that `package` expects, or a newer
    one.
    """
    history = read_history(package)

    async def check() -> None:
        revision = await current_revision(database, package)
        if history.is_behind(revision):
            raise ServiceUnavailable(f"migration {history.head} is expected, the database has {revision or 'none'}")

    app.health.add_startup(f"migrations of {package}", check)


def read_history(package: str) -> History:
    """Read the revisions of `package` and put them in order. Raises `ConfigurationError`, see `expected_revision`."""
    folder = _folder(package)
    parents = dict(_read(file) for file in sorted(folder.glob("*.py")) if not file.name.startswith("_"))
    revisions: list[str] = []
    parent: str | None = None
    while children := [revision for revision, down in parents.items() if down == parent]:
        if len(children) > 1:
            raise ConfigurationError(f"{folder}: revisions {' and '.join(children)} follow the same one ({parent})")
        parent = children[0]
        revisions.append(parent)
    if not revisions or len(revisions) != len(parents):
        stray = ", ".join(sorted(parents.keys() - set(revisions))) or "none at all"
        raise ConfigurationError(f"{folder}: the revisions are no single line from a first one: {stray}")
    return History(package, folder, tuple(revisions))


def _folder(package: str) -> Path:
    try:
        spec = importlib.util.find_spec(package)
    except ModuleNotFoundError:
        spec = None
    if spec is None or not spec.submodule_search_locations:
        raise ConfigurationError(f"there is no package {package!r}")
    folder = Path(next(iter(spec.submodule_search_locations)), "migrations", "versions")
    if not folder.is_dir():
        raise ConfigurationError(f"the package {package!r} has no folder migrations/versions")
    return folder


def _read(file: Path) -> tuple[str, str | None]:
    names: dict[str, Any] = {}
    for statement in ast.parse(file.read_bytes(), filename=str(file)).body:
        match statement:
            case ast.Assign(targets=[ast.Name(id=name)], value=ast.Constant(value=value)):
                names[name] = value
            case ast.AnnAssign(target=ast.Name(id=name), value=ast.Constant(value=value)):
                names[name] = value
    revision, down = names.get("revision"), names.get("down_revision", ...)
    if not isinstance(revision, str) or not (down is None or isinstance(down, str)):
        raise ConfigurationError(f"{file}: revision and down_revision must be constants")
    return revision, down
