"""pytest plugin: runs `async def test_…` and async fixtures, and ends a test that would hang the run (T7).

It is registered under the entry point `pytest11`; installing `fairlead[testing]` is all the set-up there is.

- Every async test has a fresh event loop; its async fixtures (scope `function`) run on the same loop and in the same
  task. A fixture of a wider scope cannot be async: it would outlive its loop. A sync test may use async fixtures; the
  loop turns only while they are set up and torn down.
- Every phase (set-up, call, teardown) of every test, sync ones too, ends at the deadline: 30 s unless
  `fairlead_deadline_s` in the ini file, `--fairlead-deadline` or the marker `@pytest.mark.deadline(seconds)` says
  otherwise; 0 means none. The failure shows where every task stands. With `--pdb`, or once a debugger is entered, there
  is no deadline.
- The loop is uvloop where installed, else asyncio's; `fairlead_loop` in the ini file or `--fairlead-loop` chooses, and
  `@pytest.mark.event_loop("uvloop", "asyncio")` runs a test once on each.

- The fixture `dependency_overrides` gives a test its own dependencies: `dependency_overrides({Mailer: FakeMailer()})`.
- Fixtures `app_client` (an `AsyncTestClient`) and `sync_app_client` (a `TestClient`) run the app of the project's own
  fixture `app`.

Beside other plugins: with `fairlead_async = auto` (the default) only tests that nobody else claims are taken: none that
carries the marker `asyncio`, `anyio` or `trio`, and none at all while `asyncio_mode` or `anyio_mode` is `auto`. With
`fairlead_async = strict` only tests with the marker `fairlead` are.

Loading the plugin loads neither server nor clients, so that it costs little in projects that only have Fairlead installed.
"""

from __future__ import annotations

import faulthandler
import inspect
import os
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Generator, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import pytest

from fairlead.testing.deadline import Deadline, lift
from fairlead.testing.loop import LOOPS, LoopRunner

if TYPE_CHECKING:
    from fairlead.testing.client import AsyncTestClient, TestClient

RUNNER = pytest.StashKey[LoopRunner]()
STDERR = pytest.StashKey[int]()

LAST_RESORT_S = 15.0
"""Beyond three phases of a test that all ran into their deadline, how long the process may still go on."""

FOREIGN_MARKERS = ("anyio", "asyncio", "trio")
FOREIGN_MODES = ("anyio_mode", "asyncio_mode")
LOOP_PARAMETER = "event_loop_name"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare the ini values and the command line options."""
    group = parser.getgroup("fairlead")
    group.addoption("--fairlead-loop", choices=LOOPS, help="event loop of async tests (default: auto, uvloop where installed)")
    group.addoption(
        "--fairlead-deadline",
        type=float,
        metavar="SECONDS",
        help="limit for each phase of a test; 0: none (default: 30)",
    )
    parser.addini(
        "fairlead_async",
        "auto: run async tests that no other plugin claims; strict: only those marked `fairlead`",
        default="auto",
    )
    parser.addini("fairlead_loop", "event loop of async tests: auto, uvloop or asyncio", default="auto")
    parser.addini("fairlead_deadline_s", "limit in seconds for each phase of a test; 0: none", default="30")


def pytest_configure(config: pytest.Config) -> None:
    """Declare the markers and keep a descriptor of the real standard error for the last resort."""
    config.addinivalue_line("markers", "fairlead: run this async test by the fairlead plugin (needed with fairlead_async = strict)")
    config.addinivalue_line("markers", "deadline(seconds): limit for each phase of this test; 0: none")
    config.addinivalue_line("markers", "event_loop(*names): run this async test on uvloop or asyncio, or once on each")
    if config.getini("fairlead_async") not in ("auto", "strict"):
        raise pytest.UsageError("fairlead_async: expected auto or strict")
    if sys.__stderr__ is not None:
        config.stash[STDERR] = os.dup(sys.__stderr__.fileno())


def pytest_unconfigure(config: pytest.Config) -> None:
    """Close the descriptor that `pytest_configure` kept."""
    if STDERR in config.stash:
        os.close(config.stash[STDERR])
        del config.stash[STDERR]


# --- which tests are ours ----------------------------------------------------------------------------------------


def _is_taken(item: pytest.Item) -> bool:
    config = item.config
    if config.getini("fairlead_async") == "strict":
        return item.get_closest_marker("fairlead") is not None
    if any(item.get_closest_marker(name) for name in FOREIGN_MARKERS):
        return False
    return not any(_option(config, mode) == "auto" for mode in FOREIGN_MODES)


def _option(config: pytest.Config, name: str) -> object:
    chosen: object = config.getoption(name, default=None)
    if chosen is None:
        try:
            chosen = config.getini(name)
        except ValueError:  # the plugin that has this value is not installed
            return None
    return chosen


def _seconds(item: pytest.Item) -> float | None:
    config = item.config
    if config.getoption("usepdb", False) or config.getoption("trace", False):
        return None
    marker = item.get_closest_marker("deadline")
    chosen = config.getoption("fairlead_deadline")
    if marker is not None:
        chosen = marker.args[0]
    elif chosen is None:
        chosen = config.getini("fairlead_deadline_s")
    return float(chosen) or None


def _runner(item: pytest.Item) -> LoopRunner:
    if RUNNER not in item.stash:
        marker = item.get_closest_marker("event_loop")
        name = marker.args[0] if marker is not None else _option(item.config, "fairlead_loop")
        if isinstance(item, pytest.Function) and hasattr(item, "callspec"):
            name = item.callspec.params.get(LOOP_PARAMETER, name)
        item.stash[RUNNER] = LoopRunner(str(name))
    return item.stash[RUNNER]


def _call(item: pytest.Item, coroutine: Coroutine[Any, Any, Any]) -> Any:
    return _runner(item).call(coroutine)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Multiply a test by the names in its `event_loop` marker."""
    marker = metafunc.definition.get_closest_marker("event_loop")
    if marker is not None and len(marker.args) > 1:
        metafunc.fixturenames.append(LOOP_PARAMETER)
        metafunc.parametrize(LOOP_PARAMETER, marker.args, indirect=True)


# --- running them ------------------------------------------------------------------------------------------------


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run an async test on its loop; a property (hypothesis) runs all its examples on that loop."""
    test = pyfuncitem.obj
    if hasattr(test, "hypothesis"):
        _wrap_property(pyfuncitem, test.hypothesis)
        return None
    if not inspect.iscoroutinefunction(test) or not _is_taken(pyfuncitem):
        return None
    arguments = {name: pyfuncitem.funcargs[name] for name in pyfuncitem._fixtureinfo.argnames}
    _call(pyfuncitem, test(**arguments))
    return True


def _wrap_property(item: pytest.Function, handle: Any) -> None:
    original = getattr(handle.inner_test, "fairlead_original", handle.inner_test)  # parametrized tests share one handle
    if inspect.iscoroutinefunction(original) and _is_taken(item):

        def run_example(*args: Any, **kwargs: Any) -> None:
            _call(item, original(*args, **kwargs))

        run_example.fairlead_original = original  # type: ignore[attr-defined]
        handle.inner_test = run_example


@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup(fixturedef: Any, request: Any) -> Generator[None, object, object]:
    """Let an async fixture be set up, and later torn down, on the loop of its test."""
    function = fixturedef.func
    is_async = inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function)
    if not is_async or not _is_taken(request._pyfuncitem) or "anyio_backend" in request.fixturenames:
        return (yield)
    if fixturedef.scope != "function":
        pytest.fail(
            f"async fixture {fixturedef.argname!r}: scope {fixturedef.scope!r}, but it lives on the loop of one test",
            pytrace=False,
        )
    fixturedef.func = _sync_fixture(request._pyfuncitem, _bound(function, request.instance))
    try:
        return (yield)
    finally:
        fixturedef.func = function


def _bound(function: Callable[..., Any], instance: object) -> Callable[..., Any]:
    """A fixture that is a method belongs to the instance of this test, not to the one that collected it."""
    if instance is not None and inspect.ismethod(function) and type(function.__self__) is type(instance):
        return function.__func__.__get__(instance)  # type: ignore[no-any-return]
    return function


def _sync_fixture(item: pytest.Item, function: Callable[..., Any]) -> Callable[..., Any]:
    if inspect.iscoroutinefunction(function):
        return lambda **arguments: _call(item, function(**arguments))

    def generate(**arguments: Any) -> Generator[Any, None, None]:
        generator = function(**arguments)

        async def advance() -> Any:
            return await anext(generator)

        yield _call(item, advance())
        try:
            _call(item, advance())
        except StopAsyncIteration:
            return
        pytest.fail(f"async fixture {function.__name__!r} yields more than once", pytrace=False)

    return generate


# --- fixtures ----------------------------------------------------------------------------------------------------


@pytest.fixture
def dependency_overrides(app: Any) -> Iterator[Callable[[Mapping[Any, Any]], None]]:
    """A function that overrides dependencies of the project's `app` fixture until the end of the test."""
    from contextlib import ExitStack

    from fairlead.testing.overrides import override_dependencies

    with ExitStack() as stack:
        yield lambda values: stack.enter_context(override_dependencies(app, values))


@pytest.fixture
async def app_client(app: Any) -> AsyncIterator[AsyncTestClient]:
    """An async client of the project's `app` fixture; the app runs from here to the end of the test."""
    from fairlead.testing.client import AsyncTestClient

    async with AsyncTestClient(app) as client:
        yield client


@pytest.fixture
def sync_app_client(app: Any) -> Iterator[TestClient]:
    """A sync client of the project's `app` fixture; the app runs from here to the end of the test."""
    from fairlead.testing.client import TestClient

    with TestClient(app) as client:
        yield client


# --- deadlines ---------------------------------------------------------------------------------------------------


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """The last resort: where even the alarm is not heard, show all threads and end the process."""
    seconds = _seconds(item)
    if seconds is None or STDERR not in item.config.stash or float(item.config.getini("faulthandler_timeout") or 0) > 0:
        return (yield)
    faulthandler.dump_traceback_later(3 * seconds + LAST_RESORT_S, file=item.config.stash[STDERR], exit=True)
    try:
        return (yield)
    finally:
        faulthandler.cancel_dump_traceback_later()


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> Generator[None, object, object]:
    """Limit the set-up, session fixtures of the first test included."""
    with _phase(item):
        return (yield)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """Limit the test itself."""
    with _phase(item):
        return (yield)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_teardown(item: pytest.Item) -> Generator[None, object, object]:
    """Limit the teardown; close the test's loop when its fixtures are done with it."""
    with _phase(item):
        try:
            return (yield)
        finally:
            if RUNNER in item.stash:
                item.stash[RUNNER].close()
                del item.stash[RUNNER]


def _phase(item: pytest.Item) -> Deadline:
    return Deadline(_seconds(item))


def pytest_enter_pdb() -> None:
    """Someone is reading: no alarm may interrupt."""
    faulthandler.cancel_dump_traceback_later()
    lift()
