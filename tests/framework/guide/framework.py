"""The one line that differs: what the chapters' tests import, from Fairlead, or from Sanic itself.

`GUIDE_ON=sanic` takes Sanic; `parity/test_on_sanic.py` runs all chapters so, in an environment of its own. What they hold is
therefore what Sanic does, and not what we believe it does.
"""

from __future__ import annotations

import os

ON_SANIC = os.environ.get("GUIDE_ON") == "sanic"

if ON_SANIC:
    from sanic import Blueprint, Config, HTTPResponse, Request, Sanic, exceptions
    from sanic import Sanic as App
    from sanic.config import DetailedConverter
    from sanic.exceptions import SanicException as BaseError
    from sanic.handlers import ErrorHandler
    from sanic.response import empty, file, file_stream, html, json, raw, redirect, text
    from sanic.signals import Event
    from sanic.views import HTTPMethodView, stream

    Sanic.test_mode = True
    PREFIX = "SANIC_"
else:
    from fairlead import App, Blueprint, Config, HTTPResponse, Request
    from fairlead import errors as exceptions
    from fairlead.config import DetailedConverter
    from fairlead.error_handler import ErrorHandler
    from fairlead.errors import FairleadException as BaseError
    from fairlead.response import empty, file, file_stream, html, json, raw, redirect, text
    from fairlead.signals import Event
    from fairlead.views import HTTPMethodView, stream

    PREFIX = "FAIRLEAD_"

__all__ = [
    "ON_SANIC",
    "PREFIX",
    "App",
    "BaseError",
    "Blueprint",
    "Config",
    "DetailedConverter",
    "ErrorHandler",
    "Event",
    "HTTPMethodView",
    "HTTPResponse",
    "Request",
    "empty",
    "exceptions",
    "file",
    "file_stream",
    "html",
    "json",
    "raw",
    "redirect",
    "stream",
    "text",
]
