"""Which revision a package expects and the database has; what /startupz says about it."""

import subprocess
import sys
from pathlib import Path

import pytest

from fairlead.errors import ConfigurationError
from fairlead.postgres import Database
from fairlead.postgres.revisions import current_revision, expected_revision, read_history, version_table

from .conftest import MakePackage, write_revision


def problem(package: str) -> str:
    with pytest.raises(ConfigurationError) as caught:
        expected_revision(package)
    (line,) = caught.value.problems
    return line


def test_history_is_in_order_of_descent(make_package: MakePackage, tmp_path: Path) -> None:
    """The line follows `down_revision`, not the files' names; files that begin with an underscore are none."""
    package = make_package("line", "SELECT 1", "SELECT 2")
    folder = tmp_path / "line" / "migrations" / "versions"
    write_revision(folder, "0000_late", "0002", "SELECT 3")
    (folder / "__init__.py").write_text("")
    assert ("0001", "0002", "0000_late") == read_history(package).revisions
    assert "0000_late" == expected_revision(package)


def test_history_must_be_one_line(make_package: MakePackage, tmp_path: Path) -> None:
    """K7: no revision, two children of one, a missing parent, a computed name: each is one clear line."""
    for name in ("empty", "forked", "torn", "computed"):
        make_package(name)
    folders = {name: tmp_path / name / "migrations" / "versions" for name in ("empty", "forked", "torn", "computed")}
    for revision, down in (("0001", None), ("0002", "0001"), ("0003", "0001")):
        write_revision(folders["forked"], revision, down, "SELECT 1")
    for revision, down in (("0001", None), ("0003", "0002")):
        write_revision(folders["torn"], revision, down, "SELECT 1")
    (folders["computed"] / "0001.py").write_text("revision = str(1)\ndown_revision = None\n")
    assert f"{folders['empty']}: the revisions are no single line from a first one: none at all" == problem("empty")
    assert f"{folders['forked']}: revisions 0002 and 0003 follow the same one (0001)" == problem("forked")
    assert f"{folders['torn']}: the revisions are no single line from a first one: 0003" == problem("torn")
    assert f"{folders['computed'] / '0001.py'}: revision and down_revision must be constants" == problem("computed")


def test_package_must_be_there() -> None:
    """K7: a package that does not exist, or keeps no migrations, is one clear line."""
    assert "there is no package 'no_such'" == problem("no_such")
    assert "there is no package 'no_such.thing'" == problem("no_such.thing")
    assert "the package 'json' has no folder migrations/versions" == problem("json")
    assert "there is no package 'this'" == problem("this")


@pytest.mark.parametrize(
    ("revision", "expected"), [(None, True), ("0001", True), ("0002", False), ("0003-of-a-later-release", False)]
)
def test_database_of_a_later_release_is_not_behind(make_package: MakePackage, revision: str | None, expected: bool) -> None:
    """K5: during a rolling deployment, pods of the release before still start on the migrated database."""
    assert expected is read_history(make_package("shop", "SELECT 1", "SELECT 2")).is_behind(revision)


async def test_revision_of_a_database(database: Database) -> None:
    """None before the first migration, then what Alembic wrote."""
    assert await current_revision(database, "shop") is None
    await database.execute(f"CREATE TABLE {version_table('shop')} (version_num text)")
    assert await current_revision(database, "shop") is None
    await database.execute(f"INSERT INTO {version_table('shop')} VALUES ('0001')")
    assert "0001" == await current_revision(database, "shop")


def test_version_table_belongs_to_one_package() -> None:
    """Services that share a database keep their revisions apart."""
    assert ("alembic_version_auth", "alembic_version_shop_auth") == (version_table("auth"), version_table("shop.auth"))


def test_workers_do_not_load_alembic() -> None:
    """The start-up check costs a worker neither Alembic nor SQLAlchemy."""
    program = "import sys, fairlead.postgres.revisions; print({'alembic', 'sqlalchemy'} & sys.modules.keys())"
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "set()" == result.stdout.strip()
