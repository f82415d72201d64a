"""The pytest plugin, tried from outside: each test writes a small test file and reads the report of a run over it."""

from __future__ import annotations

import sys

import pytest

pytest_plugins = ["pytester"]


@pytest.fixture
def project(pytester: pytest.Pytester) -> pytest.Pytester:
    """An empty project that loads the plugin as installed users do, through its entry point."""
    pytester.makeini("[pytest]\n")
    return pytester


def run(project: pytest.Pytester, code: str, *options: str) -> pytest.RunResult:
    """Run `code` as a test module in this process, which is quick."""
    project.makepyfile(code)
    return project.runpytest_inprocess("-p", "no:cacheprovider", *options)


def run_alone(project: pytest.Pytester, code: str, *options: str) -> pytest.RunResult:
    """Run `code` as a test module in a process of its own, where the alarm is free and no module is loaded."""
    project.makepyfile(code)
    return project.runpytest_subprocess("-p", "no:cacheprovider", *options)


def test_async_test_and_fixtures_share_loop_task_and_context(project: pytest.Pytester) -> None:
    """T7: an async test runs without a hand-made loop, in the same loop, task and context as its async fixtures."""
    result = run(
        project,
        """
        import asyncio, contextvars
        import pytest

        seen = contextvars.ContextVar("seen", default="nothing")

        @pytest.fixture
        async def group():
            seen.set("fixture")
            async with asyncio.TaskGroup() as group:
                yield asyncio.get_running_loop(), asyncio.current_task(), group

        @pytest.fixture
        async def number(group):
            await asyncio.sleep(0)
            return 7

        async def test_all(group, number):
            loop, task, tasks = group
            assert loop is asyncio.get_running_loop() and task is asyncio.current_task()
            assert seen.get() == "fixture" and number == 7
            tasks.create_task(asyncio.sleep(0))

        def test_sync_may_use_the_result(number):
            assert number == 7
        """,
    )
    result.assert_outcomes(passed=2)


def test_every_test_has_a_fresh_loop(project: pytest.Pytester) -> None:
    """What one test leaves running is cancelled with its loop and never seen by the next test."""
    result = run(
        project,
        """
        import asyncio

        left = []

        async def test_leaves_a_task():
            left.append(asyncio.get_running_loop())
            left.append(asyncio.create_task(asyncio.Event().wait()))
            await asyncio.sleep(0)

        async def test_starts_clean():
            loop, task = left
            assert loop.is_closed() and task.cancelled()
            assert asyncio.all_tasks() == {asyncio.current_task()}
        """,
    )
    result.assert_outcomes(passed=2)


def test_fixture_is_torn_down_after_a_failure(project: pytest.Pytester) -> None:
    """The part after an async fixture's `yield` runs when the test has failed, and its own error is reported."""
    result = run(
        project,
        """
        import pytest

        @pytest.fixture
        async def resource():
            yield 1
            print("released")
            raise ValueError("from teardown")

        async def test_fails(resource):
            assert resource == 2
        """,
    )
    result.assert_outcomes(failed=1, errors=1)
    result.stdout.fnmatch_lines(["*released*", "*assert 1 == 2*", "*ValueError*"])


def test_outcomes_pass_through(project: pytest.Pytester) -> None:
    """skip, xfail and fail raised inside an async test keep their meaning."""
    result = run(
        project,
        """
        import pytest

        async def test_skip():
            pytest.skip("later")

        async def test_xfail():
            pytest.xfail("known")

        @pytest.mark.parametrize("number", [1, 2])
        async def test_number(number):
            assert number == 1
        """,
    )
    result.assert_outcomes(skipped=1, xfailed=1, passed=1, failed=1)


def test_waiting_for_ever_fails_at_the_deadline(project: pytest.Pytester) -> None:
    """T7: a test that waits for what never comes fails, shows where each task stands, and the run goes on."""
    result = run_alone(
        project,
        """
        import asyncio
        import pytest

        async def the_innermost_wait():
            await asyncio.Event().wait()

        @pytest.mark.deadline(0.2)
        async def test_hangs():
            task = asyncio.create_task(the_innermost_wait(), name="reader")
            await task

        async def test_next():
            pass
        """,
    )
    result.assert_outcomes(failed=1, passed=1)
    result.stdout.fnmatch_lines(["*no end within 0.2 s*", "*task 'reader'*", "*in the_innermost_wait*"])


def test_swallowed_cancellation_does_not_hang(project: pytest.Pytester) -> None:
    """T7: a test that catches everything, its cancellation included, is left behind at the deadline."""
    result = run_alone(
        project,
        """
        import asyncio
        import pytest

        @pytest.fixture
        async def resource():
            yield 1
            print("released all the same")

        @pytest.mark.deadline(0.2)
        async def test_stubborn(resource):
            cancelled = 0
            while cancelled < 2:
                try:
                    await asyncio.Event().wait()
                except asyncio.CancelledError:
                    cancelled += 1
        """,
    )
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*no end within 0.2 s*", "*released all the same*"])


@pytest.mark.parametrize("kind", ["def", "async def"])
def test_blocking_code_is_interrupted(project: pytest.Pytester, kind: str) -> None:
    """T7: code that blocks, in a sync test or on the loop, is interrupted; the report shows the blocking line."""
    result = run_alone(
        project,
        f"""
        import threading
        import pytest

        @pytest.mark.deadline(0.2)
        {kind} test_blocks():
            try:
                threading.Event().wait()  # the blocking line
            except Exception:
                pass

        {kind} test_next():
            pass
        """,
    )
    result.assert_outcomes(failed=1, passed=1)
    result.stdout.fnmatch_lines(["*threading.Event().wait()  # the blocking line*", "*no end within 0.2 s*"])


def test_hanging_fixture_is_an_error(project: pytest.Pytester) -> None:
    """Set-up and teardown have a deadline too."""
    result = run(
        project,
        """
        import asyncio
        import pytest

        @pytest.fixture
        async def slow_start():
            await asyncio.Event().wait()

        @pytest.fixture
        async def slow_end():
            yield
            await asyncio.Event().wait()

        async def test_start(slow_start):
            pass

        async def test_end(slow_end):
            pass
        """,
        "--fairlead-deadline=0.2",
    )
    result.assert_outcomes(passed=1, errors=2)


def test_code_that_never_returns_ends_the_process(project: pytest.Pytester) -> None:
    """T7: where not even a signal is heard, all stacks are shown and the process ends."""
    project.makeconftest(
        """
        import fairlead.testing.plugin
        fairlead.testing.plugin.LAST_RESORT_S = 0.5
        """
    )
    result = run_alone(
        project,
        """
        import signal
        import pytest

        @pytest.mark.deadline(0.1)
        def test_deaf():
            signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGALRM])
            signal.sigwait([signal.SIGUSR1])
        """,
    )
    assert result.ret == 1
    result.stderr.fnmatch_lines(["Timeout*", "*in test_deaf"])


@pytest.mark.parametrize(("option", "expected"), [("asyncio", "asyncio"), ("uvloop", "uvloop"), ("auto", "uvloop")])
def test_choice_of_loop(project: pytest.Pytester, option: str, expected: str) -> None:
    """T4: the loop is uvloop where it is installed, and either on demand."""
    pytest.importorskip("uvloop", reason="uvloop is not installed, so there is no choice")
    code = f"""
        import asyncio

        async def test_loop():
            assert type(asyncio.get_running_loop()).__module__.startswith({expected!r})
        """
    run(project, code, f"--fairlead-loop={option}").assert_outcomes(passed=1)
    project.makeini(f"[pytest]\nfairlead_loop = {option}\n")
    run(project, code).assert_outcomes(passed=1)


def test_marker_runs_a_test_on_each_loop(project: pytest.Pytester) -> None:
    """T4: one marker runs a test on both loops; a marker with one name picks that loop."""
    pytest.importorskip("uvloop", reason="uvloop is not installed, so there is no choice")
    result = run(
        project,
        """
        import asyncio
        import pytest

        seen = []

        @pytest.mark.event_loop("uvloop", "asyncio")
        async def test_each():
            seen.append(type(asyncio.get_running_loop()).__module__.partition(".")[0])

        @pytest.mark.event_loop("asyncio")
        async def test_one():
            assert seen == ["uvloop", "asyncio"]
            assert type(asyncio.get_running_loop()).__module__.startswith("asyncio")
        """,
    )
    result.assert_outcomes(passed=3)


def test_properties_may_be_async(project: pytest.Pytester) -> None:
    """A hypothesis property written as `async def` runs each example on the test's loop."""
    result = run(
        project,
        """
        import asyncio
        from hypothesis import given, strategies

        @given(number=strategies.integers())
        async def test_holds(number):
            await asyncio.sleep(0)
            assert number == number

        @given(number=strategies.integers())
        async def test_does_not_hold(number):
            await asyncio.sleep(0)
            assert number < 100
        """,
    )
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["*number=100*"])


def test_wide_async_fixture_is_refused(project: pytest.Pytester) -> None:
    """An async fixture that would outlive its loop is an error that says so."""
    result = run(
        project,
        """
        import pytest

        @pytest.fixture(scope="module")
        async def database():
            return 1

        async def test_it(database):
            pass
        """,
    )
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*async fixture 'database': scope 'module'*"])


def test_requesting_an_async_fixture_from_running_code_is_refused(project: pytest.Pytester) -> None:
    """getfixturevalue() on an async fixture inside an async test cannot work; the error says what to do instead."""
    result = run(
        project,
        """
        import pytest

        @pytest.fixture
        async def number():
            return 1

        async def test_it(request):
            request.getfixturevalue("number")
        """,
    )
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*name an async fixture as a parameter*"])


def test_fixture_methods_see_the_instance_of_the_test(project: pytest.Pytester) -> None:
    """Async fixtures and tests may be methods of a class and share `self`."""
    result = run(
        project,
        """
        import pytest

        class TestThing:
            @pytest.fixture(autouse=True)
            async def prepare(self):
                self.ready = True

            async def test_it(self):
                assert self.ready
        """,
    )
    result.assert_outcomes(passed=1)


def test_other_plugins_keep_their_tests(project: pytest.Pytester) -> None:
    """Tests marked for anyio are run by anyio, also with its fixtures; ours run beside them."""
    pytest.importorskip("anyio", reason="anyio is not installed")
    result = run(
        project,
        """
        import sys
        import pytest

        @pytest.fixture
        def anyio_backend():
            return "asyncio"

        @pytest.fixture
        async def number():
            return 1

        def frames():
            frame = sys._getframe(1)
            while frame:
                yield frame.f_code.co_filename.replace("\\\\", "/")
                frame = frame.f_back

        @pytest.mark.anyio
        async def test_theirs(number):
            assert number == 1
            assert not any(name.endswith("testing/loop.py") for name in frames())

        async def test_ours():
            assert any(name.endswith("testing/loop.py") for name in frames())
        """,
    )
    result.assert_outcomes(passed=2)


def test_foreign_modes_leave_async_tests_alone(project: pytest.Pytester) -> None:
    """Where another plugin takes all async tests, none is ours: with that plugin gone, each fails as pytest says."""
    project.makeconftest("def pytest_addoption(parser): parser.addini('asyncio_mode', 'of another plugin')")
    project.makeini("[pytest]\nasyncio_mode = auto\n")
    result = run(project, "async def test_theirs(): pass")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*async def functions are not natively supported*"])


def test_no_deadline_for_those_who_read(project: pytest.Pytester) -> None:
    """With `--pdb`, and from the moment in which a debugger is entered, a test may take as long as it likes."""
    code = """
        import asyncio, time
        import pytest

        @pytest.mark.deadline(0.1)
        async def test_async():
            {entry}
            await asyncio.sleep(0.3)

        @pytest.mark.deadline(0.1)
        def test_sync():
            {entry}
            time.sleep(0.3)
        """
    run_alone(project, code.format(entry="pass"), "--pdb").assert_outcomes(passed=2)
    file = project.makepyfile(test_read=code.format(entry="breakpoint()"))
    command = (sys.executable, "-m", "pytest", "-p", "no:cacheprovider", file)
    project.run(*command, stdin=b"continue\ncontinue\n").assert_outcomes(passed=2)


def test_without_standard_error(project: pytest.Pytester) -> None:
    """A process that has none, as under pythonw, goes without the last resort; its tests run, and end at their deadlines."""
    project.makeconftest("import sys; sys.__stderr__ = None")
    result = run_alone(
        project,
        """
        import asyncio
        import pytest

        async def test_passes():
            pass

        @pytest.mark.deadline(0.1)
        async def test_hangs():
            await asyncio.Event().wait()
        """,
        "-p",
        "no:faulthandler",
    )
    result.assert_outcomes(passed=1, failed=1)


@pytest.mark.parametrize("kind", ["asyncio", "trio", "anyio"])
def test_foreign_markers_leave_a_test_alone(project: pytest.Pytester, kind: str) -> None:
    """A test that is marked for another plugin is not ours, even where that plugin is missing."""
    project.makeini(f"[pytest]\nmarkers = {kind}: of another plugin\n")
    result = run(
        project,
        f"""
        import pytest

        @pytest.mark.{kind}
        async def test_theirs():
            pass

        async def test_ours():
            pass
        """,
        "-p",
        "no:anyio",
    )
    result.assert_outcomes(failed=1, passed=1)


def test_fixture_that_yields_twice(project: pytest.Pytester) -> None:
    """As with pytest's own fixtures it is an error, in the teardown."""
    result = run(
        project,
        """
        import pytest

        @pytest.fixture
        async def stuttering():
            yield 1
            yield 2

        async def test_it(stuttering):
            assert stuttering == 1
        """,
    )
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["*async fixture 'stuttering' yields more than once*"])


def test_strict_mode_takes_only_marked_tests(project: pytest.Pytester) -> None:
    """With `fairlead_async = strict` an unmarked async test is nobody's, as pytest says."""
    project.makeini("[pytest]\nfairlead_async = strict\n")
    result = run(
        project,
        """
        import pytest

        @pytest.mark.fairlead
        async def test_marked():
            pass

        async def test_unmarked():
            pass
        """,
    )
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["*async def functions are not natively supported*"])


def test_unknown_mode_is_a_usage_error(project: pytest.Pytester) -> None:
    """A misspelt `fairlead_async` does not silently switch the tests off."""
    project.makeini("[pytest]\nfairlead_async = automatic\n")
    result = run(project, "def test_it(): pass")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*fairlead_async: expected auto or strict*"])


def test_loading_the_plugin_loads_little(project: pytest.Pytester) -> None:
    """The plugin is loaded in every project that has Fairlead installed: neither server nor clients come with it."""
    result = run_alone(
        project,
        """
        import sys

        def test_modules():
            loaded = [name for name in sys.modules if name.startswith(("fairlead.server", "fairlead.testing.client"))]
            assert loaded == []
            assert "httpx" not in sys.modules
        """,
    )
    result.assert_outcomes(passed=1)


def test_clients_as_fixtures(project: pytest.Pytester) -> None:
    """T7: a project that has a fixture `app` has clients of it, for async and for sync tests."""
    result = run(
        project,
        """
        import pytest
        from fairlead import App, text

        @pytest.fixture
        def app():
            app = App("sample")
            app.add_route(lambda request: text("Hello"), "/", name="hello")
            return app

        async def test_async(app_client):
            assert (await app_client.get("/")).text == "Hello"

        def test_sync(sync_app_client):
            assert sync_app_client.get("/").text == "Hello"
        """,
    )
    result.assert_outcomes(passed=2)


def test_dependency_overrides(project: pytest.Pytester) -> None:
    """A test says what its app's dependencies are; the next test has the real ones again."""
    result = run_alone(
        project,
        """
        import pytest
        from fairlead import App, Request, json

        class Mailer:
            name = "real"

        class Fake(Mailer):
            name = "fake"

        the_app = App("sample")
        the_app.add_dependency(Mailer)

        @the_app.get("/")
        async def index(request: Request, mailer: Mailer):
            return json(mailer.name)

        @pytest.fixture
        def app():
            return the_app

        async def test_fake(app_client, dependency_overrides):
            dependency_overrides({Mailer: Fake()})
            assert (await app_client.get("/")).json() == "fake"

        async def test_real(app_client):
            assert (await app_client.get("/")).json() == "real"
        """,
    )
    result.assert_outcomes(passed=2)


@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
def test_sync_client_ends_at_the_deadline(project: pytest.Pytester, loop: str) -> None:
    """T7: a sync test whose client waits for an answer that never comes fails at its deadline, on both loops."""
    if loop == "uvloop":
        pytest.importorskip("uvloop", reason="uvloop is not installed")
    result = run_alone(
        project,
        f"""
        import asyncio
        import pytest
        from fairlead import App
        from fairlead.testing import TestClient

        app = App("sample")

        @app.get("/")
        async def the_handler_that_hangs(request):
            await asyncio.Event().wait()

        @pytest.mark.deadline(0.3)
        def test_hangs():
            with TestClient(app, loop={loop!r}) as client:
                client.get("/", timeout=None)

        def test_next():
            pass
        """,
    )
    result.assert_outcomes(failed=1, passed=1)
    result.stdout.fnmatch_lines(["*no end within 0.3 s*"])
