"""`[tool.fairlead]`: what a service says about running it beside the others."""

from __future__ import annotations

from pathlib import Path

import pytest

from fairlead.errors import ConfigurationError
from fairlead.local.plan import Service, read_services, with_ports

ROOT = Path(__file__).resolve().parents[3]


def write(root: Path, name: str, table: str) -> None:
    folder = root / "services" / name
    folder.mkdir(parents=True)
    (folder / "pyproject.toml").write_text(table)


def minimal(port: int, more: str = "") -> str:
    return f'[tool.fairlead]\ntarget = "m:n"\nport = {port}\nmanagement-port = {port + 1000}\n{more}\n'


def problems(root: Path) -> tuple[str, ...]:
    with pytest.raises(ConfigurationError) as caught:
        read_services(root)
    return caught.value.problems


def test_everything(tmp_path: Path) -> None:
    """Every field is read; a service without the table is not one that is run."""
    more = 'needs = ["postgres"]\nmigrations = "shop"\nnote = "hi"\n[tool.fairlead.environment]\nA = "1"'
    write(tmp_path, "shop", minimal(8001, more))
    write(tmp_path, "library", "[project]\nname = 'library'")
    expected = Service(
        name="shop",
        target="m:n",
        port=8001,
        management_port=9001,
        needs=("postgres",),
        migrations="shop",
        note="hi",
        environment={"A": "1"},
    )
    assert (expected,) == read_services(tmp_path)


def test_order(tmp_path: Path) -> None:
    """A service is started after those that it names, and by name otherwise."""
    write(tmp_path, "a", minimal(8001, 'after = ["c"]'))
    write(tmp_path, "b", minimal(8002))
    write(tmp_path, "c", minimal(8003))
    names = [service.name for service in read_services(tmp_path)]
    assert names.index("c") < names.index("a")
    assert {"a", "b", "c"} == set(names)


def test_circle(tmp_path: Path) -> None:
    """Services that wait for each other are told by name."""
    write(tmp_path, "a", minimal(8001, 'after = ["b"]'))
    write(tmp_path, "b", minimal(8002, 'after = ["a"]'))
    assert ("after: these services wait for each other: ",) == tuple(line[:43] for line in problems(tmp_path))


def test_problems_are_told_together(tmp_path: Path) -> None:
    """Unknown and missing fields, foreign names and ports given twice: one line each, all at once (K7)."""
    write(tmp_path, "a", minimal(8001, "prot = 1"))
    write(tmp_path, "b", '[tool.fairlead]\ntarget = "m:n"\nport = "x"')
    write(tmp_path, "c", minimal(8003, 'after = ["nobody"]'))
    write(tmp_path, "d", minimal(8003))
    write(tmp_path, "e", "[tool.fairlead")
    lines = problems(tmp_path)
    assert "services/a/pyproject.toml: [tool.fairlead]: Object contains unknown field `prot`" == lines[0]
    assert lines[1].startswith("services/b/pyproject.toml: [tool.fairlead]: ")
    assert lines[2].startswith("services/e/pyproject.toml: [tool.fairlead]: ")
    expected = ("c: after: no service nobody", "d: port 8003 is also a port of c", "d: port 9003 is also a port of c")
    assert expected == lines[3:]


def test_no_service(tmp_path: Path) -> None:
    """An empty folder is not a stack."""
    assert (f"no services/*/pyproject.toml below {tmp_path} has a table [tool.fairlead]",) == problems(tmp_path)


def test_references() -> None:
    """A value may name the addresses of every service and the service's own folder."""
    environment = {"JWKS": "{auth.url}/jwks", "ALL": "{auth.origins} {auth.management-url}", "KEY": "{data}/key"}
    shop = Service(name="shop", target="m:n", port=1, management_port=2, environment=environment)
    auth = Service(name="auth", target="m:n", port=8001, management_port=9001)
    expected = {
        "JWKS": "http://127.0.0.1:8001/jwks",
        "ALL": "http://127.0.0.1:8001,http://localhost:8001 http://127.0.0.1:9001",
        "KEY": "/data/shop/key",
    }
    assert expected == shop.resolved([auth, shop], Path("/data/shop"))


def test_unknown_reference() -> None:
    """A reference to nothing is told with those that there are."""
    shop = Service(name="shop", target="m:n", port=1, management_port=2, environment={"A": "{ahtu.url}"})
    with pytest.raises(ConfigurationError, match=r"shop: no such reference: \{ahtu\.url\}; known: data, shop\.url"):
        shop.resolved([shop], Path("/data"))


def test_with_ports() -> None:
    """The same services can run on other ports, and refer to each other there."""
    numbers = iter(range(1, 100))
    shop = Service(name="shop", target="m:n", port=8001, management_port=9001, environment={"ME": "{shop.url}"})
    (moved,) = with_ports([shop], lambda: next(numbers))
    assert (1, 2) == (moved.port, moved.management_port)
    assert {"ME": "http://127.0.0.1:1"} == moved.resolved([moved], Path())


def test_our_own_services() -> None:
    """The services of this checkout have a plan, and every reference in it means something."""
    services = read_services(ROOT)
    for service in services:
        service.resolved(services, Path("/data"))
