"""Dependencies as a test wants them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

from fairlead.app import App


@contextmanager
def override_dependencies(app: App[Any, Any], values: Mapping[Any, Any]) -> Iterator[None]:
    """Within the block whoever asks for one of these types is given its value, and what only it needed is not made.

    Before the start of the app or while it runs; blocks nest. Raises LookupError for a type that the app doesn't provide.
    """
    app.finalise()
    with ExitStack() as stack:
        for kind, value in values.items():
            stack.enter_context(app.injector.override(kind, value))
        yield
