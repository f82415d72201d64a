"""compose.yaml: the same images, restricted as in a cluster, with settings that the services start with (C3)."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from fairlead.settings import load_settings

ROOT = Path(__file__).resolve().parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]
NAMES = sorted(path.parent.name for path in ROOT.glob("services/*/pyproject.toml"))
OURS = [name for name in COMPOSE if name.partition("-")[0] in NAMES]


def test_every_service_is_there() -> None:
    """Each service, and the migration of each that has one, run to its end before the service starts."""
    migrating = [path.parents[2].name for path in ROOT.glob("services/*/src/*/migrations")]
    assert sorted([*NAMES, *(f"{name}-migrate" for name in migrating)]) == sorted(OURS)
    for name in migrating:
        assert COMPOSE[f"{name}-migrate"]["command"] == ["migrate"]
        assert COMPOSE[name]["depends_on"][f"{name}-migrate"] == {"condition": "service_completed_successfully"}


@pytest.mark.parametrize("name", OURS)
def test_restricted(name: str) -> None:
    """Read-only, no capabilities, bounded, on 127.0.0.1 only."""
    service = COMPOSE[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert {"mem_limit", "cpus", "pids_limit"} <= set(service)
    assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))
    assert service["build"]["args"] == {"SERVICE": name.partition("-")[0]}


@pytest.mark.parametrize("name", NAMES)
def test_settings(name: str) -> None:
    """Nothing is missing, nothing malformed, nothing misspelt."""
    environ = COMPOSE[name]["environment"]
    settings: type[msgspec.Struct] = importlib.import_module(f"{name}.settings").Settings
    load_settings(settings, environ)
    assert set(environ) <= {field.name.upper() for field in msgspec.structs.fields(settings)}


def test_addresses_fit() -> None:
    """Each address names a service of this file; catalog trusts the issuer that auth is."""
    assert COMPOSE["catalog"]["environment"]["AUTH_ISSUER"] == COMPOSE["auth"]["environment"]["ISSUER"]
    text = json.dumps([COMPOSE[name]["environment"] for name in OURS])
    for host in ("postgres:5432", "valkey:6379", "auth:8000"):
        assert host in text
        assert host.partition(":")[0] in COMPOSE
