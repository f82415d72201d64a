"""`MODULE:NAME`: what it may name, and one clear line for what it may not."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path

import pytest

from fairlead.errors import ConfigurationError
from fairlead.workers.target import check_target, load_target, service_name

Module = Callable[[str], str]

_numbers = itertools.count()


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Module:
    """Write a module that can be imported, under a name that no other test has."""
    monkeypatch.syspath_prepend(tmp_path)

    def write(code: str) -> str:
        name = f"target_{next(_numbers)}"
        (tmp_path / f"{name}.py").write_text("from fairlead import App\n" + code)
        return name

    return write


@pytest.mark.parametrize(
    ("target", "parts"),
    [
        ("shop", ("shop", "app")),
        ("shop:create", ("shop", "create")),
        ("shop.main:apps.first", ("shop.main", "apps.first")),
        ("größe:äpp", ("größe", "äpp")),
    ],
)
def test_the_parts_of_a_target(target: str, parts: tuple[str, str]) -> None:
    """The name is `app` when it is left out, as with Sanic."""
    assert check_target(target) == parts


@pytest.mark.parametrize("target", [":app", "shop:", "shop/main.py", "shop:app()", "a b:c", "1a:b", "..a:b", "a:b:c"])
def test_what_is_no_target(target: str) -> None:
    """One line with an example; nothing is imported."""
    with pytest.raises(ConfigurationError, match="is not of the form MODULE:NAME"):
        check_target(target)


def test_no_target_at_all() -> None:
    """The line says where one can come from."""
    with pytest.raises(ConfigurationError, match="FAIRLEAD_TARGET"):
        check_target("")


def test_the_name_of_a_service_before_it_is_imported() -> None:
    """Its top-level package: the logs need a name before the app can be asked."""
    assert service_name("catalog.main:create_app") == "catalog"


@pytest.mark.parametrize(
    ("code", "name"),
    [
        ("app = App('shop')", "app"),
        ("def create(): return App('shop')", "create"),
        ("def create(debug=False): return App('shop')", "create"),
        ("class apps: first = App('shop')", "apps.first"),
        ("class Maker:\n    def __call__(self): return App('shop')\ncreate = Maker()", "create"),
    ],
)
def test_an_app_or_what_makes_one(module: Module, code: str, name: str) -> None:
    """An `App`, or a callable without arguments."""
    assert load_target(f"{module(code)}:{name}").name == "shop"


@pytest.mark.parametrize(
    ("code", "name", "words"),
    [
        ("", "app", "has no 'app'"),
        ("app = 3", "app", "is a int, and neither an App"),
        ("app = App", "app", "neither an App"),
        ("def create(): return None", "create", "is a NoneType"),
        ("async def create(): return App('x')", "create", "an async function"),
        ("def create(settings): return App('x')", "create", "can't be called without arguments"),
    ],
)
def test_what_is_no_app(module: Module, code: str, name: str, words: str) -> None:
    """K7: one line and exit 2, not a traceback of ours."""
    with pytest.raises(ConfigurationError, match=words):
        load_target(f"{module(code)}:{name}")


@pytest.mark.parametrize(
    ("code", "target", "hint"),
    [
        ("server = App('shop')\ndef other(): ...", "app", "; did you mean 'server'?"),
        ("def create_app(): ...\nfrom os.path import basename", "create", "; did you mean 'create_app'?"),
        ("def create_app(): ...\nfrom os.path import basename", "basenam", ""),
        ("class apps: first = App('shop')", "apps.frist", "; did you mean 'first'?"),
        ("class Slotted: __slots__ = ()\napps = Slotted()", "apps.first", ""),
    ],
)
def test_a_name_that_was_mistyped(module: Module, code: str, target: str, hint: str) -> None:
    """The applications that are there are named; else the module's own functions of a like name, not what it imports."""
    name = module(code)
    with pytest.raises(ConfigurationError) as caught:
        load_target(f"{name}:{target}")
    assert str(caught.value) == f"module {name!r} has no {target!r} (target {name}:{target}){hint}"


@pytest.mark.parametrize("target", ["not_to_be_found:app", "not_to_be_found.main:app"])
def test_a_module_that_is_not_there(target: str) -> None:
    """The missing part is named."""
    with pytest.raises(ConfigurationError, match="there is no module 'not_to_be_found'"):
        load_target(target)


def test_a_module_that_misses_something_itself(module: Module) -> None:
    """That is a fault of the service's code, whose traceback must be seen."""
    with pytest.raises(ModuleNotFoundError, match="not_to_be_found"):
        load_target(f"{module('import not_to_be_found')}:app")


def test_what_the_service_raises_comes_through(module: Module) -> None:
    """So does everything else, a configuration error of the service included."""
    with pytest.raises(ZeroDivisionError):
        load_target(f"{module('1 / 0')}:app")
    failing = "from fairlead.errors import ConfigurationError\ndef create(): raise ConfigurationError('A is not set')"
    with pytest.raises(ConfigurationError, match="A is not set"):
        load_target(f"{module(failing)}:create")
