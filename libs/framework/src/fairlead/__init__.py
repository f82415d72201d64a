"""Fairlead: a Kubernetes-ready microservice framework with the API that Sanic users know.

A name is imported when it is first used (PEP 562): `fairlead serve` has to have its signal handlers within moments of its
start, and none of its commands is to wait for what only an application needs.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:  # known by this name to type checkers; importing `typing` takes a tenth of the start
    from typing import Any

    from fairlead.app import App
    from fairlead.blueprint import Blueprint, BlueprintGroup
    from fairlead.config import Config
    from fairlead.errors import (
        BadRequest,
        ExpectationFailed,
        FairleadException,
        FileNotFound,
        Forbidden,
        HeaderNotFound,
        InternalServerError,
        InvalidHeader,
        MethodNotAllowed,
        NotFound,
        RangeNotSatisfiable,
        ServerError,
        ServiceUnavailable,
        Unauthorized,
        WebsocketClosed,
    )
    from fairlead.event_stream import sse
    from fairlead.files import file
    from fairlead.injection import Body, Cookie, Form, Header, Path, Query, inject, validate
    from fairlead.request import Request
    from fairlead.response import HTTPResponse, JSONResponse, empty, html, json, raw, redirect, responds, text
    from fairlead.uploads import File
    from fairlead.websocket.websocket import Websocket

__version__ = "26.11.0"

__all__ = [
    "App",
    "BadRequest",
    "Blueprint",
    "BlueprintGroup",
    "Body",
    "Config",
    "Cookie",
    "ExpectationFailed",
    "FairleadException",
    "File",
    "FileNotFound",
    "Forbidden",
    "Form",
    "HTTPResponse",
    "Header",
    "HeaderNotFound",
    "InternalServerError",
    "InvalidHeader",
    "JSONResponse",
    "MethodNotAllowed",
    "NotFound",
    "Path",
    "Query",
    "RangeNotSatisfiable",
    "Request",
    "ServerError",
    "ServiceUnavailable",
    "Unauthorized",
    "Websocket",
    "WebsocketClosed",
    "__version__",
    "empty",
    "file",
    "html",
    "inject",
    "json",
    "raw",
    "redirect",
    "responds",
    "sse",
    "text",
    "validate",
]

_MODULES = {
    "app": ("App",),
    "blueprint": ("Blueprint", "BlueprintGroup"),
    "config": ("Config",),
    "errors": (
        "BadRequest",
        "ExpectationFailed",
        "FairleadException",
        "FileNotFound",
        "Forbidden",
        "HeaderNotFound",
        "InternalServerError",
        "InvalidHeader",
        "MethodNotAllowed",
        "NotFound",
        "RangeNotSatisfiable",
        "ServerError",
        "ServiceUnavailable",
        "Unauthorized",
        "WebsocketClosed",
    ),
    "files": ("file",),
    "injection": ("Body", "Cookie", "Form", "Header", "Path", "Query", "inject", "validate"),
    "request": ("Request",),
    "response": ("HTTPResponse", "JSONResponse", "empty", "html", "json", "raw", "redirect", "responds", "text"),
    "event_stream": ("sse",),
    "uploads": ("File",),
    "websocket": ("Websocket",),
}
_HOMES = {name: module for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = globals()[name] = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
