"""`fairlead version`: what a bug report should name."""

from __future__ import annotations

import argparse
import platform
from importlib.metadata import PackageNotFoundError, version

__all__ = ["add_arguments", "run"]

PACKAGES = ("fairlead", "uvloop", "httptools", "msgspec", "websockets")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """There are none."""


def run(arguments: argparse.Namespace) -> int:
    """Print the versions of Fairlead, its core dependencies and Python."""
    for package in PACKAGES:
        print(f"{package:<10} {_version(package)}")
    print(f"{'python':<10} {platform.python_version()} ({platform.platform()})")
    return 0


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"
