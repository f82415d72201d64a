"""What Helm rendered, as Python objects."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import yaml

Manifest = dict[str, Any]


@dataclass(frozen=True)
class Manifests:
    """The objects of one release. `of(kind)` expects exactly one of that kind, `all(kind)` takes any number."""

    objects: tuple[Manifest, ...]

    @classmethod
    def parse(cls, text: str) -> Manifests:
        return cls(tuple(document for document in yaml.safe_load_all(text) if document))

    def __iter__(self) -> Iterator[Manifest]:
        return iter(self.objects)

    def all(self, kind: str) -> list[Manifest]:
        return [manifest for manifest in self.objects if manifest["kind"] == kind]

    def of(self, kind: str, component: str | None = None) -> Manifest:
        """The only object of the kind; of several, the one whose component label is given."""
        found = [
            manifest
            for manifest in self.all(kind)
            if component in (None, manifest["metadata"]["labels"]["app.kubernetes.io/component"])
        ]
        assert len(found) == 1, f"{len(found)} objects of kind {kind} instead of one"
        return found[0]

    @property
    def pod(self) -> Manifest:
        """The spec of the server's pods."""
        spec: Manifest = self.of("Deployment")["spec"]["template"]["spec"]
        return spec

    @property
    def server(self) -> Manifest:
        """The container that serves."""
        container: Manifest = self.pod["containers"][0]
        return container

    @property
    def environment(self) -> dict[str, Any]:
        """The server's environment: the values, or what they are taken from."""
        return environment(self.server)


def environment(container: Manifest) -> dict[str, Any]:
    """Names and values of a container's environment."""
    return {entry["name"]: entry.get("value", entry.get("valueFrom")) for entry in container.get("env", [])}
