"""The target that `fairlead serve` runs: ``feed.main:create_app``."""

from __future__ import annotations

from typing import Any

from fairlead import App
from fairlead.settings import load_settings
from feed.service import build_app
from feed.settings import Settings

__all__ = ["create_app"]


def create_app() -> App[Any, Any]:
    """The app as the environment describes it."""
    return build_app(load_settings(Settings))
