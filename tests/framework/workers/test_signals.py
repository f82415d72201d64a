"""Signals: caught before there is a loop, delivered in order, understood as wishes (missions K2, K3)."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading

import pytest

from fairlead.workers.signals import SignalInbox, Wish, Wishes, describe_exit, disregard, has_terminal, signal_name

USR1, USR2 = signal.SIGUSR1, signal.SIGUSR2


async def test_what_came_before_the_loop_is_delivered_first() -> None:
    """K3: a SIGTERM in the first moments of PID 1 is not lost."""
    inbox = SignalInbox().install(USR1, USR2)
    try:
        os.kill(os.getpid(), USR1)
        received: asyncio.Queue[signal.Signals] = asyncio.Queue()
        inbox.attach(asyncio.get_running_loop(), received.put_nowait)
        os.kill(os.getpid(), USR2)
        assert [await received.get(), await received.get()] == [USR1, USR2]
    finally:
        inbox.restore()


async def test_a_signal_wakes_a_loop_in_another_thread() -> None:
    """K2: a single process hands its signals to the thread that nothing blocks."""
    inbox = SignalInbox().install(USR1)
    received: list[tuple[signal.Signals, str]] = []
    attached = threading.Event()

    async def listen() -> None:
        done = asyncio.Event()

        def receive(number: signal.Signals) -> None:
            received.append((number, threading.current_thread().name))
            done.set()

        inbox.attach(asyncio.get_running_loop(), receive)
        attached.set()
        await done.wait()

    try:
        thread = threading.Thread(target=lambda: asyncio.run(listen()), name="warden")
        thread.start()
        await asyncio.to_thread(attached.wait)
        os.kill(os.getpid(), USR1)
        await asyncio.to_thread(thread.join)
    finally:
        inbox.restore()
    assert received == [(USR1, "warden")]


def test_handlers_are_given_back() -> None:
    """Whoever called `serve` has the handlers afterwards that it had before; installing twice changes nothing."""

    def mine(*_: object) -> None:
        """A handler of somebody else."""

    previous = signal.signal(USR1, mine)
    try:
        inbox = SignalInbox().install(USR1).install(USR1)
        assert signal.getsignal(USR1) != mine
        inbox.restore()
        assert signal.getsignal(USR1) == mine
    finally:
        signal.signal(USR1, previous)


def test_a_disregarded_signal_is_not_inherited() -> None:
    """A program that a service starts can be interrupted: only SIG_IGN would survive an exec."""
    previous = signal.getsignal(USR1)
    try:
        disregard(USR1)
        os.kill(os.getpid(), USR1)
        child = subprocess.run([sys.executable, "-c", f"import os; os.kill(os.getpid(), {USR1.value})"])
        assert child.returncode == -USR1
    finally:
        signal.signal(USR1, previous)


class Clock:
    """A clock that is set by hand."""

    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


@pytest.mark.parametrize("first", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_forces(first: signal.Signals, second: signal.Signals) -> None:
    """K2: the first asks, the next one forces, and every further one too."""
    clock = Clock()
    wishes = Wishes(clock)
    assert wishes.judge(first) is Wish.STOP
    clock.now_s = 1.0
    assert [wishes.judge(second), wishes.judge(second)] == [Wish.FORCE, Wish.FORCE]
    assert wishes.first is first


def test_signals_that_come_together_are_one_wish() -> None:
    """K2: a terminal signals the whole group while a parent passes its own signal on."""
    clock = Clock()
    wishes = Wishes(clock)
    assert wishes.judge(signal.SIGINT) is Wish.STOP
    clock.now_s = 0.1
    assert wishes.judge(signal.SIGTERM) is Wish.NOTHING_NEW


def test_sighup_is_a_reload_while_nothing_was_closed() -> None:
    """K5: as long as the terminal, if there was one, is still there."""
    wishes = Wishes()
    assert wishes.judge(signal.SIGHUP) is Wish.RELOAD
    assert wishes.first is None


def test_sighup_of_a_closed_terminal_is_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """K2: a service that was started in a terminal does not outlive it unnoticed."""
    monkeypatch.setattr("fairlead.workers.signals.has_terminal", iter([True, False]).__next__)
    wishes = Wishes()
    assert wishes.judge(signal.SIGHUP) is Wish.STOP


def test_a_session_of_its_own_has_no_terminal() -> None:
    """A daemon's SIGHUP is a rolling restart."""
    code = "from fairlead.workers.signals import has_terminal; print(has_terminal())"
    child = subprocess.run([sys.executable, "-c", code], start_new_session=True, capture_output=True, text=True)
    assert child.stdout == "False\n"
    assert isinstance(has_terminal(), bool)


@pytest.mark.parametrize(("status", "words"), [(0, "exited with status 0"), (3, "exited with status 3"), (-9, "killed by SIGKILL")])
def test_an_exit_in_words(status: int, words: str) -> None:
    """K3: logs name signals, not their numbers."""
    assert describe_exit(status) == words


def test_a_signal_without_a_name() -> None:
    """Real-time signals have numbers only."""
    assert (signal_name(9), signal_name(40)) == ("SIGKILL", "signal 40")
