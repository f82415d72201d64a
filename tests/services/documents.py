"""The services' OpenAPI documents: `python -m tests.services.documents` writes services/*/openapi.json (`make openapi`)."""

from __future__ import annotations

import os
import tempfile
from importlib import import_module
from pathlib import Path

from fairlead.openapi import encode_document
from fairlead.settings import load_settings

SERVICES = Path(__file__).resolve().parents[2] / "services"
NAMES = tuple(sorted(path.parent.name for path in SERVICES.glob("*/pyproject.toml")))

ENVIRONMENT = {
    "AUTH_ISSUER": "http://auth",
    "AUTH_JWKS_URL": "http://auth/.well-known/jwks.json",
    "CREATE_SIGNING_KEY": "true",
    "DATABASE_URL": "postgresql://nowhere",
    "ISSUER": "http://auth",
    "PUBLIC_AUTH_URL": "http://auth",
    "PUBLIC_CATALOG_URL": "http://catalog",
    "REDIS_URL": "redis://nowhere",
}
"""Enough to put the services together; nothing is connected to."""


def document_of(name: str) -> bytes:
    """The document of one service, as its code has it now."""
    settings_type = import_module(f"{name}.settings").Settings
    with tempfile.TemporaryDirectory() as folder:
        environment = ENVIRONMENT | {"SIGNING_KEY_FILE": os.path.join(folder, "key.pem")}
        app = import_module(f"{name}.service").build_app(load_settings(settings_type, environment))
        return encode_document(app.openapi.build())


if __name__ == "__main__":
    for service in NAMES:
        (SERVICES / service / "openapi.json").write_bytes(document_of(service))
