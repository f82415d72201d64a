"""The target that `fairlead serve` runs: ``catalog.main:create_app``."""

from __future__ import annotations

from typing import Any

from catalog.service import build_app
from catalog.settings import Settings
from fairlead import App
from fairlead.settings import load_settings

__all__ = ["create_app"]


def create_app() -> App[Any, Any]:
    """The app as the environment describes it."""
    return build_app(load_settings(Settings))
