"""Prints the public names of the Sanic that is installed, as JSON: section → names. Run with that environment's Python."""

import importlib
import json
import sys

CLASSES = {
    "Sanic": "sanic.Sanic",
    "Blueprint": "sanic.Blueprint",
    "BlueprintGroup": "sanic.blueprint_group.BlueprintGroup",
    "Request": "sanic.Request",
    "HTTPResponse": "sanic.HTTPResponse",
    "JSONResponse": "sanic.response.JSONResponse",
    "Websocket": "sanic.Websocket",
    "HTTPMethodView": "sanic.views.HTTPMethodView",
    "Config": "sanic.Config",
    "Cookie": "sanic.cookies.Cookie",
    "CookieJar": "sanic.cookies.CookieJar",
    "SanicException": "sanic.exceptions.SanicException",
    "ErrorHandler": "sanic.handlers.ErrorHandler",
}
MODULES = (
    "sanic",
    "sanic.response",
    "sanic.exceptions",
    "sanic.views",
    "sanic.config",
    "sanic.cookies",
    "sanic.handlers",
    "sanic.headers",
    "sanic.log",
    "sanic.request",
    "sanic.signals",
)


def find(path: str) -> object:
    """A class by its dotted path."""
    module, _, name = path.rpartition(".")
    return getattr(importlib.import_module(module), name)


def public(thing: object, beside: object = object) -> list[str]:
    """What a thing has beyond what every such thing has."""
    return sorted(name for name in dir(thing) if not name.startswith("_") and not hasattr(beside, name))


def own(module_name: str) -> list[str]:
    """What a module offers: its `__all__`, or what is defined in Sanic and has a name of its own there."""
    module = importlib.import_module(module_name)
    if hasattr(module, "__all__"):
        return sorted(name for name in module.__all__ if not name.startswith("_"))
    return sorted(
        name
        for name, value in vars(module).items()
        if not name.startswith("_") and getattr(value, "__module__", "").startswith(module_name)
    )


names = {section: public(find(path), dict if section == "Config" else object) for section, path in CLASSES.items()}
names["settings"] = sorted(find("sanic.config.DEFAULT_CONFIG"))
names["Event"] = [event.value for event in find("sanic.signals.Event")]
names.update({module: own(module) for module in MODULES})
sys.stdout.write(json.dumps(names))
