"""Each service's own values fit the chart, the service's settings, and what the service needs (C3, C4, K9)."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from fairlead.config import Config
from fairlead.local.plan import Service, read_services
from fairlead.settings import load_settings

from .helm import ROOT, Helm
from .manifests import Manifests

SERVICES = sorted(path.parent.name for path in ROOT.glob("services/*/pyproject.toml"))
PORTS = {"postgres": 5432, "redis": 6379}


def values_file(name: str) -> Path:
    return ROOT / "services" / name / "chart-values.yaml"


@pytest.fixture(params=SERVICES)
def service(request: pytest.FixtureRequest) -> Service:
    """Every service in turn, as its pyproject.toml describes it."""
    return next(service for service in read_services(ROOT) if service.name == request.param)


@pytest.fixture
def values(service: Service) -> dict[str, Any]:
    """What its chart-values.yaml says."""
    found: dict[str, Any] = yaml.safe_load(values_file(service.name).read_text())
    return found


@pytest.fixture
def manifests(helm: Helm, service: Service) -> Manifests:
    """The service as `helm install <name> charts/service --values services/<name>/chart-values.yaml` makes it."""
    return Manifests.parse(helm.render(files=[values_file(service.name)], release=service.name))


def test_lint(each_helm: Helm, service: Service) -> None:
    """Both Helms accept the values, strictly."""
    assert "0 chart(s) failed" in each_helm.lint(files=[values_file(service.name)])


def test_settings_are_complete(service: Service, manifests: Manifests, tmp_path: Path) -> None:
    """The rendered environment is one that the service starts with: nothing is missing, nothing malformed."""
    environ = {}
    for name, value in manifests.environment.items():
        environ[name] = value
        if value.startswith("/run/secrets/"):
            environ[name] = str(tmp_path / name)
            (tmp_path / name).write_text("secret")
    settings: type[msgspec.Struct] = importlib.import_module(f"{service.name}.settings").Settings
    load_settings(settings, environ)
    Config.from_environment(environ)


def test_every_setting_is_read(service: Service, manifests: Manifests) -> None:
    """No setting is misspelt: each is a field of the service's settings or a key of the framework."""
    settings: type[msgspec.Struct] = importlib.import_module(f"{service.name}.settings").Settings
    known = {field.name.upper() for field in msgspec.structs.fields(settings)}
    known |= {f"{name}_FILE" for name in known}
    assert {name for name in manifests.environment if not name.startswith("FAIRLEAD_")} <= known


def test_no_secret_in_plain_text(service: Service, values: dict[str, Any]) -> None:
    """Whatever the service declares secret comes from a Secret."""
    settings: type[msgspec.Struct] = importlib.import_module(f"{service.name}.settings").Settings
    fields = msgspec.structs.fields(settings)
    secret = {field.name.upper() for field in fields if "Secret" in str(field.type)}
    assert secret <= set(values["secrets"])
    assert not secret & set(values["settings"])


def test_migrations(service: Service, manifests: Manifests) -> None:
    """A service with migrations has the Job, one without has none."""
    components = [job["metadata"]["labels"]["app.kubernetes.io/component"] for job in manifests.all("Job")]
    assert ("migration" in components) == (service.migrations is not None)


def test_may_call_what_it_needs(service: Service, manifests: Manifests) -> None:
    """The network policy lets it reach its database and its stream."""
    rules = manifests.of("NetworkPolicy")["spec"]["egress"]
    allowed = {port["port"] for rule in rules for port in rule["ports"]}
    assert {PORTS[need] for need in service.needs} <= allowed


def test_issuer_is_the_same_everywhere() -> None:
    """Tokens are compared with their issuer character by character: what auth says is what catalog expects."""
    auth, catalog = (yaml.safe_load(values_file(name).read_text())["settings"] for name in ("auth", "catalog"))
    assert auth["ISSUER"] == catalog["AUTH_ISSUER"]
    assert catalog["AUTH_JWKS_URL"].startswith(auth["ISSUER"])
