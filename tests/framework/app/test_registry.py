"""Finding an application by its name (S)."""

from __future__ import annotations

import pytest

from fairlead import App, ServerError
from fairlead.registry import find_app


def test_by_name() -> None:
    """The newest of a name, as long as it lives; another one only if it is to be made."""
    first = App("registry-one")
    assert App.get_app("registry-one") is first
    second = App("registry-one")
    assert App.get_app("registry-one") is second
    App.unregister_app(first)  # not the one that is known
    assert App.get_app("registry-one") is second
    App.unregister_app(second)
    with pytest.raises(ServerError, match="no application named 'registry-one'"):
        App.get_app("registry-one")
    App.register_app(first)
    assert App.get_app("registry-one") is first
    made = App.get_app("registry-two", force_create=True)
    assert (made.name, App.get_app("registry-two", force_create=True)) == ("registry-two", made)


def test_the_only_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a name: where there is exactly one."""
    monkeypatch.setattr("fairlead.registry._apps", {})
    with pytest.raises(ServerError, match=r"needs a name .*none"):
        App.get_app()
    with pytest.raises(ServerError):
        App.get_app(force_create=True)
    app = App("only")
    assert find_app() is app
    App("other")
    with pytest.raises(ServerError, match=r"there are: only, other"):
        App.get_app()
