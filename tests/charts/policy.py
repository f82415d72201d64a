"""`make policy`: what a platform team's tools say of the image, the chart and the workflows. Nothing is excused.

How this works. The tools live in an environment of their own (.tools/policy, locked in requirements/policy.txt). The chart
is rendered with every set of values that it comes with, as a release renders it (a namespace, a digest). Each check is a
line; a tool that fails, warns about what it does not know, skips or has checked nothing counts as a failure. Kinds that
Kubernetes itself has no schema for are judged by `custom_resources/judge.mjs`, with the shapes that their operators publish.

Rejected: calling the tools from pytest (500 MB of packages for everyone who runs a test), configuration files with
exceptions (a rule that is wrong for us is argued about here, in the open).
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from .helm import CHART, MAJORS, ROOT, STACK, Helm, HelmError, Values, binary, merged
from .manifests import Manifest

KUBERNETES = ("1.27", "1.30", "1.32", "1.34", "1.36", "1.37")
"""The oldest that the chart takes, the first with a native sleep, then every other one up to the newest with schemas."""

CUSTOM = {
    "ExternalSecret": "external-secrets.io/v1",
    "HTTPRoute": "gateway.networking.k8s.io/v1",
    "PodMonitor": "monitoring.coreos.com/v1",
    "PrometheusRule": "monitoring.coreos.com/v1",
    "ScaledObject": "keda.sh/v1alpha1",
    "ServiceMonitor": "monitoring.coreos.com/v1",
}
"""Kinds that Kubernetes itself has no schema for, and the API that serves them in a cluster that has their operator."""

JUDGE = ROOT / "tests" / "charts" / "custom_resources" / "judge.mjs"

RELEASE: Values = {"image": {"digest": f"sha256:{'0123456789abcdef' * 4}"}}
"""What the pipeline of a release adds to anyone's values."""

EVERYTHING: Values = {
    "image": {"repository": "example/service", "pullSecrets": ["registry"]},
    "secrets": {"DATABASE_URL": {"secretName": "postgres", "key": "url"}},
    "externalSecret": {"enabled": True, "store": "vault", "data": {"REDIS_URL": {"key": "shop/redis", "property": "url"}}},
    "autoscaling": {"enabled": True, "memoryPercent": 80, "requestsPerSecond": 500},
    "ingress": {"enabled": True, "hosts": {"shop.example": {"tlsSecret": "tls"}}},
    "httpRoute": {"enabled": True, "gateways": {"public": {"namespace": "edge"}}, "hostnames": ["shop.example"]},
    "networkPolicy": {
        "ingress": {"management": {"prometheus": {"namespaceSelector": {}}}},
        "egress": {"to": {"postgresql": {"ports": [5432]}}},
    },
    "metrics": {"serviceMonitor": {"enabled": True}, "rules": {"enabled": True}, "dashboard": {"enabled": True}},
    "migrations": {"enabled": True},
    "workers": "limits.cpu",
}

RELEASE_OF_STACK: Values = {
    **dict.fromkeys(("auth", "catalog", "feed"), RELEASE),
    "trial": {"postgres": RELEASE, "valkey": RELEASE},
}


@dataclass(frozen=True)
class Release:
    """A chart, and all the values that it is rendered with."""

    chart: Path
    values: Values


YAML_RULES = json.dumps(
    {
        "extends": "default",
        "rules": {
            "comments": {"min-spaces-from-content": 1},  # Dependabot writes the version behind a hash that way
            "document-start": "disable",
            "line-length": {"max": 160},
            "truthy": {"check-keys": False},  # a workflow's key `on`
        },
    }
)


class Finding(Exception):
    """What a check found."""


class Tools:
    """The tools in `folder`, and a place for rendered files."""

    def __init__(self, folder: Path, scratch: Path) -> None:
        self.folder = folder.resolve()
        self.scratch = scratch

    def run(self, name: str, *arguments: str) -> str:
        """The tool's output. Raises Finding with it when the tool says no."""
        command = [str(self.folder / name), *arguments]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        if done.returncode:
            raise Finding((done.stdout + done.stderr).strip())
        return done.stdout + done.stderr

    def judge_custom(self, documents: Sequence[Manifest]) -> str:
        """Custom kinds by their operators' schemas and types. Raises Finding with what is wrong, or when there is nothing."""
        if not documents:
            raise Finding("there is no custom resource to check")
        folder = self.folder.parent / "custom_resources"
        judge = Path(shutil.copy(JUDGE, folder))  # beside the packages: a module finds others from where it lies itself
        command = [str(self.folder / "node"), str(judge)]
        done = subprocess.run(command, input=json.dumps(documents), capture_output=True, text=True, check=False)
        if done.returncode:
            raise Finding((done.stdout + done.stderr).strip())
        return f"{len(documents)} manifests of {len({document['kind'] for document in documents})} kinds"

    def checkov(self, framework: str, *target: str) -> str:
        """Checkov without network access. Raises Finding unless it checked something, and failed and skipped nothing."""
        options = ["--framework", framework, "--skip-download", "--compact", "--output", "json", "--soft-fail"]
        report = json.loads(self.run("checkov", *options, *target))
        summary: dict[str, Any] = report.get("summary", report)
        counts = {name: summary.get(name, 0) for name in ("passed", "failed", "skipped", "parsing_errors")}
        if not counts["passed"] or counts["failed"] or counts["skipped"] or counts["parsing_errors"]:
            failed = [f"{c['check_id']} {c['check_name']}: {c['resource']}" for c in _failed(report)]
            raise Finding("\n".join([str(counts), *failed]))
        return f"{counts['passed']} passed"


def _failed(report: dict[str, Any]) -> list[dict[str, Any]]:
    failed: list[dict[str, Any]] = report.get("results", {}).get("failed_checks", [])
    return failed


def releases() -> dict[str, Release]:
    """Every set of values that the repository holds: defaults, everything switched on, each service's own, production."""
    sets: dict[str, Values] = {"defaults": {"image": {"repository": "example/service"}}, "everything": EVERYTHING}
    sets["KEDA"] = merged(EVERYTHING, {"autoscaling": {"keda": {"enabled": True, "prometheusUrl": "http://prometheus:9090"}}})
    for file in sorted(ROOT.glob("services/*/chart-values.yaml")):
        sets[file.parent.name] = yaml.safe_load(file.read_text())
    sets["production"] = merged(sets["auth"], yaml.safe_load((CHART / "values-prod.yaml").read_text()))
    found = {name: Release(CHART, merged(values, RELEASE)) for name, values in sets.items()}
    found["stack"] = Release(STACK, RELEASE_OF_STACK)
    production = yaml.safe_load((STACK / "values-prod.yaml").read_text())
    found["stack in production"] = Release(STACK, merged(production, RELEASE_OF_STACK))
    return found


def rendered(release: Release, *, kubernetes: str = "1.34", upgrade: bool = False) -> list[Manifest]:
    """A release's manifests, for a cluster that has every operator."""
    newest = max(MAJORS)
    text = Helm(binary(newest), newest).render(
        release.values,
        release="app",
        kubernetes=kubernetes,
        upgrade=upgrade,
        chart=release.chart,
        api_versions=[f"{api}/{kind}" for kind, api in CUSTOM.items()],
    )
    return [document for document in yaml.safe_load_all(text) if document]


def built_in(manifests: Sequence[Manifest], target: Path) -> Path:
    """Writes what Kubernetes itself knows to `target`."""
    target.write_text(yaml.safe_dump_all([manifest for manifest in manifests if manifest["kind"] not in CUSTOM]))
    return target


def checks(tools: Tools) -> Iterator[tuple[str, Callable[[], str]]]:
    """Every check: its name, and what runs it and returns a word on success."""
    yield "hadolint Dockerfile", partial(tools.run, "hadolint", "Dockerfile")
    yield "checkov Dockerfile", partial(tools.checkov, "dockerfile", "--file", "Dockerfile")
    for name, release in releases().items():
        yield f"checkov chart, {name}", partial(_checkov_chart, tools, release)
        for version in KUBERNETES:
            yield f"kubernetes-validate {version}, {name}", partial(_validate, tools, release, version)
    yield "custom resources", partial(_judge_custom, tools)
    yield "checkov workflows", partial(tools.checkov, "github_actions", "--directory", ".github")
    yield "zizmor workflows", partial(tools.run, "zizmor", "--offline", "--persona=pedantic", "--quiet", ".github")
    yaml_files = _files("*.yaml", "*.yml")
    yield "yamllint", partial(tools.run, "yamllint", "--strict", "--config-data", YAML_RULES, *yaml_files)
    yield "shellcheck", lambda: tools.run("shellcheck", *_scripts())


def _checkov_chart(tools: Tools, release: Release) -> str:
    file = built_in(rendered(release), tools.scratch / "release.yaml")
    return tools.checkov("kubernetes", "--file", str(file))


def _validate(tools: Tools, release: Release, version: str) -> str:
    for upgrade in (False, True):
        file = built_in(rendered(release, kubernetes=version, upgrade=upgrade), tools.scratch / "release.yaml")
        said = tools.run("kubernetes-validate", "--strict", "--kubernetes-version", version, str(file))
        if "WARN" in said:
            raise Finding(said)
    return ""


def _judge_custom(tools: Tools) -> str:
    custom = [m for release in releases().values() for m in rendered(release) if m["kind"] in CUSTOM]
    if missing := CUSTOM.keys() - {manifest["kind"] for manifest in custom}:
        raise Finding(f"no set of values has {', '.join(sorted(missing))}")
    word = tools.judge_custom(custom)
    if not _finds_fault(tools, {**custom[0], "spec": {**custom[0]["spec"], "unknown": 1}}):
        raise Finding("a key that no operator knows is let through")
    return word


def _finds_fault(tools: Tools, manifest: Manifest) -> bool:
    try:
        tools.judge_custom([manifest])
    except Finding:
        return True
    return False


def _files(*patterns: str) -> list[str]:
    """Files of the repository; the chart's templates are no YAML before Helm has rendered them."""
    listed = subprocess.run(["git", "ls-files", *patterns], cwd=ROOT, capture_output=True, text=True, check=True)
    return [name for name in listed.stdout.splitlines() if "/templates/" not in name]


def _scripts() -> list[str]:
    """Shell scripts, by their first line."""
    found = [name for name in _files() if (ROOT / name).is_file() and _is_script(ROOT / name)]
    if not found:
        raise Finding("there is no shell script to check")
    return found


def _is_script(file: Path) -> bool:
    with file.open("rb") as content:
        first = content.readline(80)
    return first.startswith(b"#!") and first.rstrip().endswith((b"/sh", b"/bash", b" sh", b" bash"))


def main(arguments: Sequence[str]) -> int:
    """Runs every check, whatever the others found; the number of those that failed is the exit status."""
    failures = 0
    with tempfile.TemporaryDirectory() as scratch:
        for name, check in checks(Tools(Path(arguments[0]), Path(scratch))):
            try:
                word = check().strip().splitlines()
                line = f"ok      {name}" + (f" ({word[-1]})" if word else "")
            except (Finding, HelmError) as finding:
                failures += 1
                line = f"FAILED  {name}\n{finding}\n"
            sys.stdout.write(line + "\n")
            sys.stdout.flush()
    sys.stdout.write(f"{failures} checks failed\n" if failures else "All checks passed.\n")
    return failures


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
