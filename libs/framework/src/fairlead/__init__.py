"""Fairlead: a Kubernetes-ready microservice framework with the API that Sanic users know."""

from fairlead.app import App
from fairlead.blueprint import Blueprint, BlueprintGroup
from fairlead.config import Config
from fairlead.errors import FairleadException, WebsocketClosed
from fairlead.files import file
from fairlead.injection import Body, Query
from fairlead.request import Request
from fairlead.response import HTTPResponse, JSONResponse, empty, html, json, raw, redirect, text

__version__ = "26.11.0"

__all__ = [
    "App",
    "Blueprint",
    "BlueprintGroup",
    "Body",
    "Config",
    "FairleadException",
    "HTTPResponse",
    "JSONResponse",
    "Query",
    "Request",
    "WebsocketClosed",
    "__version__",
    "empty",
    "file",
    "html",
    "json",
    "raw",
    "redirect",
    "text",
]
