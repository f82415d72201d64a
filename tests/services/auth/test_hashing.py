"""Hashing: off the loop, a few at a time, and not without end (SEC-P01, SEC-P02)."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator

import argon2
import pytest

from auth.hashing import PARAMETERS, Parameters, PasswordHasher
from fairlead.errors import ServiceUnavailable


def parameters(time_cost: int) -> Parameters:
    """Parameters that cost next to nothing."""
    return Parameters(
        type=argon2.Type.ID,
        version=argon2.low_level.ARGON2_VERSION,
        salt_len=16,
        hash_len=32,
        time_cost=time_cost,
        memory_cost=8,
        parallelism=1,
    )


@pytest.fixture
async def hasher() -> AsyncIterator[PasswordHasher]:
    hasher = PasswordHasher(2, parameters(time_cost=1), max_waiting=3)
    yield hasher
    hasher.close()


def test_parameters_are_owasps() -> None:
    """SEC-P01: argon2id, at least 19 MiB and two passes."""
    assert (argon2.Type.ID, 19_456, 2, 1, 16) == (
        PARAMETERS.type,
        PARAMETERS.memory_cost,
        PARAMETERS.time_cost,
        PARAMETERS.parallelism,
        PARAMETERS.salt_len,
    )


async def test_hash_and_verify(hasher: PasswordHasher) -> None:
    """A password is right with its own hash, and with no other; two hashes of one password differ."""
    first, second = await hasher.hash("correct horse"), await hasher.hash("correct horse")
    assert first != second
    assert [True, True, False, False] == [
        await hasher.verify(first, "correct horse"),
        await hasher.verify(second, "correct horse"),
        await hasher.verify(first, "wrong horse"),
        await hasher.verify(None, "correct horse"),
    ]


async def test_nobody_has_no_password(hasher: PasswordHasher, monkeypatch: pytest.MonkeyPatch) -> None:
    """SEC-P04: the hash that stands in for a missing account opens nothing, even to who guesses what it was made of."""
    monkeypatch.setattr(hasher, "_matches", lambda *_: True)
    assert (True, False) == (await hasher.verify("any", "any"), await hasher.verify(None, "any"))


async def test_outdated_parameters(hasher: PasswordHasher) -> None:
    """SEC-P01: a hash with other parameters is known as such."""
    stronger = PasswordHasher(1, parameters(time_cost=2))
    try:
        password_hash = await hasher.hash("correct horse")
        assert (False, True) == (hasher.is_outdated(password_hash), stronger.is_outdated(password_hash))
    finally:
        stronger.close()


async def test_hashing_happens_in_threads_of_its_own(hasher: PasswordHasher, monkeypatch: pytest.MonkeyPatch) -> None:
    """SEC-P02: never on the loop's thread, never in the pool that others use."""
    names: list[str] = []

    def canonical(password: str) -> bytes:
        names.append(threading.current_thread().name)
        return password.encode()

    monkeypatch.setattr("auth.hashing._canonical", canonical)
    await hasher.verify(await hasher.hash("correct horse"), "correct horse")
    assert ["password", "password"] == [name.partition("_")[0] for name in names]


async def test_slots_are_bounded(hasher: PasswordHasher) -> None:
    """SEC-P02: two at a time, three more wait in order, the sixth hears 503 with Retry-After; then all get their turn."""
    inside: list[int] = []
    most_inside = 0
    leave = asyncio.Event()

    async def use(number: int) -> int:
        nonlocal most_inside
        async with hasher.slot():
            inside.append(number)
            most_inside = max(most_inside, len(inside))
            await leave.wait()
            inside.remove(number)
        return number

    tasks = [asyncio.create_task(use(number)) for number in range(5)]
    await asyncio.sleep(0)
    assert [0, 1] == inside
    with pytest.raises(ServiceUnavailable) as caught:
        await use(5)
    assert {"Retry-After": "2"} == caught.value.headers
    leave.set()
    assert [0, 1, 2, 3, 4] == await asyncio.gather(*tasks)
    assert 2 == most_inside
    assert 6 == await use(6)


async def test_waiting_may_be_given_up(hasher: PasswordHasher) -> None:
    """A client that leaves while it waits frees its place."""
    leave = asyncio.Event()

    async def use() -> None:
        async with hasher.slot():
            await leave.wait()

    tasks = [asyncio.create_task(use()) for _ in range(5)]
    await asyncio.sleep(0)
    for task in tasks[2:]:
        task.cancel()
    await asyncio.wait(tasks[2:])
    leave.set()
    await use()
    await asyncio.gather(*tasks[:2])
