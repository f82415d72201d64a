"""`MODULE:NAME`: an `App`, or a callable without arguments that returns one.

Only workers (and `fairlead check`) come here: importing a service's code is the one thing that a supervisor never does.
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import os
import re
import sys
from typing import Any

from fairlead.app import App
from fairlead.errors import ConfigurationError
from fairlead.hint import HINTS, did_you_mean, meant

__all__ = ["check_target", "import_from_here", "load_target", "service_name"]

DEFAULT_NAME = "app"
"""`fairlead serve shop` means `shop:app`, as in Sanic."""

_TARGET = re.compile(r"(?P<module>[^\W\d]\w*(\.[^\W\d]\w*)*)(:(?P<name>[^\W\d]\w*(\.[^\W\d]\w*)*))?")


def check_target(target: str) -> tuple[str, str]:
    """Module and name of a target, without importing anything. Raises `ConfigurationError` for what is none."""
    if not target:
        raise ConfigurationError("nothing to serve: name it as MODULE:NAME, or set FAIRLEAD_TARGET")
    match = _TARGET.fullmatch(target)
    if match is None:
        raise ConfigurationError(f"{target!r} is not of the form MODULE:NAME, such as shop.main:create_app")
    return match["module"], match["name"] or DEFAULT_NAME


def service_name(target: str) -> str:
    """What a service is called before its app can be asked: its top-level package."""
    return check_target(target)[0].partition(".")[0]


def import_from_here() -> None:
    """Let the current folder be imported from, as `python -m` does and workers do; an installed script does not."""
    folder = os.getcwd()
    if folder not in sys.path:
        sys.path.insert(0, folder)


def load_target(target: str) -> App[Any, Any]:
    """Import the module and return its app.

    Raises `ConfigurationError` when there is no such module or name, or when it is no app; whatever the module or the
    factory itself raises comes through as it is.
    """
    module_name, name = check_target(target)
    found: Any = _import(module_name, target)
    for part in name.split("."):
        try:
            found = getattr(found, part)
        except AttributeError:
            raise ConfigurationError(f"module {module_name!r} has no {name!r} (target {target}){_hint(part, found)}") from None
    if inspect.iscoroutinefunction(found):
        raise ConfigurationError(f"{target} is an async function: make the app in a plain one, and await in listeners")
    app = found if isinstance(found, App) else _call_factory(found, target)
    if not isinstance(app, App):
        raise ConfigurationError(f"{target} is a {type(app).__name__}, and neither an App nor a function that makes one")
    return app


def _hint(name: str, where: Any) -> str:
    """What could have been meant: its applications; where there are none, functions of its own whose name is like this."""
    members = getattr(where, "__dict__", {})
    apps = [member for member, value in members.items() if isinstance(value, App)]
    own = [member for member, value in members.items() if inspect.isfunction(value) and value.__module__ == members.get("__name__")]
    return meant(apps[:HINTS]) or did_you_mean(name, own)


def _import(module_name: str, target: str) -> object:
    try:
        return importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        missing = error.name or ""
        if module_name != missing and not module_name.startswith(f"{missing}."):
            raise  # the module is there, and misses something itself
        raise ConfigurationError(f"there is no module {missing!r} (target {target})") from None


def _call_factory(found: Any, target: str) -> object:
    if not callable(found) or isinstance(found, type):
        return found
    try:
        inspect.signature(found).bind()
    except (TypeError, ValueError):
        raise ConfigurationError(f"{target} can't be called without arguments") from None
    return found()
