"""The page, its scripts and its style, all from this package: no build step, and nothing from anywhere else.

The page may run scripts of its own origin only, inline ones not at all, and may talk to this service, to auth and to
catalog only: even a script that somebody smuggled into a product's name would have nowhere to go. The addresses reach
the page as JSON in an element that no browser executes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

import msgspec

from fairlead import Blueprint, HTTPResponse, Request, html, openapi

__all__ = ["page"]

FOLDER: Final = Path(str(files("feed"))) / "page"
PLACEHOLDER: Final = "{{ addresses }}"


def page(auth_url: str, catalog_url: str, rooms: Sequence[str]) -> Blueprint:
    """``GET /`` and what it needs below ``/assets/``. `auth_url` and `catalog_url` are origins, without a path,
    `rooms` the names of the rooms."""
    blueprint = Blueprint("page")
    body = render(auth_url, catalog_url, rooms)
    etag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
    fields = security_headers(auth_url, catalog_url)

    @blueprint.get("/")
    @openapi.response(200, {"text/html": str})
    def index(request: Request[Any, Any]) -> HTTPResponse:
        """The page that shows the catalogue as it changes."""
        headers = {"etag": etag, "cache-control": "no-cache"}
        if etag in request.headers.get("if-none-match", ""):
            return HTTPResponse(b"", 304, headers)
        return html(body, headers=headers)

    @blueprint.on_response
    def secure(request: Request[Any, Any], response: HTTPResponse) -> None:
        for name, value in fields.items():
            response.headers[name] = value

    blueprint.static("/assets", FOLDER / "assets", name="assets")
    return blueprint


def render(auth_url: str, catalog_url: str, rooms: Sequence[str]) -> bytes:
    """The page with addresses and rooms filled in. ``<`` is written as an escape: nothing in JSON can end the element."""
    addresses = msgspec.json.encode({"auth": auth_url, "catalog": catalog_url, "rooms": rooms}).decode().replace("<", "\\u003c")
    return (FOLDER / "index.html").read_text("utf-8").replace(PLACEHOLDER, addresses).encode()


def security_headers(auth_url: str, catalog_url: str) -> dict[str, str]:
    """What the browser must not do with these answers (OWASP Content Security Policy and HTTP Headers sheets)."""
    policy = {
        "default-src": "'none'",
        "script-src": "'self'",
        "style-src": "'self'",
        "img-src": "'self'",
        "connect-src": f"'self' {auth_url} {catalog_url}",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
        "require-trusted-types-for": "'script'",
    }
    return {
        "content-security-policy": "; ".join(f"{name} {value}" for name, value in policy.items()),
        "x-content-type-options": "nosniff",
        "referrer-policy": "no-referrer",
        "cross-origin-opener-policy": "same-origin",
        "cross-origin-resource-policy": "same-origin",
        "permissions-policy": "camera=(), geolocation=(), microphone=(), payment=()",
    }
