"""Something to do when a library is imported, for those that do import it; nobody else pays for it.

structlog is one: set up beforehand it would have to be loaded in every process, 3 MB with what it looks for itself.

How it works. A finder at the head of `sys.meta_path` waits for the one name, steps aside, lets the usual ones find the module, and
has the loader call back when the module has been executed.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from types import ModuleType

__all__ = ["when_imported"]


def when_imported(name: str, then: Callable[[], object]) -> None:
    """Call `then` as soon as the top-level module `name` has been imported: now, if it has been. A later call takes the place of
    an earlier one for the same name.
    """
    for finder in [finder for finder in sys.meta_path if isinstance(finder, _Arrival) and finder.name == name]:
        sys.meta_path.remove(finder)
    if sys.modules.get(name) is not None:
        then()
    else:
        sys.meta_path.insert(0, _Arrival(name, then))


class _Arrival(MetaPathFinder):
    def __init__(self, name: str, then: Callable[[], object]) -> None:
        self.name = name
        self._then = then

    def find_spec(self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        """Only for the name that is waited for."""
        if fullname != self.name:
            return None
        sys.meta_path.remove(self)
        spec = find_spec(fullname)
        if spec is not None and spec.loader is not None:
            spec.loader = _Witness(spec.loader, self._then)
        return spec


class _Witness(Loader):
    """Calls back after the real loader, whose place it has for that long."""

    def __init__(self, loader: Loader, then: Callable[[], object]) -> None:
        self._loader = loader
        self._then = then

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        """As the real loader does."""
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        """As the real loader does; then it is time."""
        spec = module.__spec__
        assert spec is not None
        module.__loader__ = spec.loader = self._loader
        self._loader.exec_module(module)
        self._then()
