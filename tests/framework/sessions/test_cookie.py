"""Signed sessions: nothing that a client makes up is believed, nothing of it is even decoded."""

from __future__ import annotations

import base64
import random

import pytest

from fairlead.sessions import CookieStore, Record, SessionTooLarge
from fairlead.sessions.signer import Signer

from .conftest import SECRET, Clock

RECORD = Record(1_800_000_000.0, 1_800_000_000.0, {"user": b'"ada"', "cart": b"[1,2]"})


async def test_there_and_back(clock: Clock) -> None:
    """What was signed is read, as long as it is valid, and also after the secret was rotated."""
    token = await CookieStore(SECRET, clock=clock).create(RECORD, 60)
    rotated = CookieStore(["another secret, long enough 1234567890", SECRET], clock=clock)
    assert await rotated.load(token) == RECORD
    clock.now += 60
    assert await rotated.load(token) is None


async def test_every_flipped_bit(clock: Clock) -> None:
    """A cookie that differs in one place is none."""
    store = CookieStore(SECRET, clock=clock)
    token = await store.create(RECORD, 60)
    for place in range(len(token)):
        for bit in (1, 2, 64):
            forged = token[:place] + chr(ord(token[place]) ^ bit) + token[place + 1 :]
            loaded = await store.load(forged)
            assert loaded is None, (place, bit)


async def test_foreign_parts(clock: Clock) -> None:
    """Another's payload, another's signature, another secret, another purpose: none."""
    store = CookieStore(SECRET, clock=clock)
    ours, theirs = await store.create(RECORD, 60), await store.create(Record(0, 0, {"user": b'"eve"'}), 60)
    payload, signature = ours.split(".")
    other_payload, other_signature = theirs.split(".")
    csrf = Signer(SECRET, "csrf").sign(payload.encode())
    elsewhere = await CookieStore("some other secret, also long enough", clock=clock).create(RECORD, 60)
    for forged in (
        f"{other_payload}.{signature}",
        f"{payload}.{other_signature}",
        f"{payload}.{csrf}",
        elsewhere,
        payload,
        f"{payload}.",
        f".{signature}",
        f"{payload}=.{signature}",
        f" {payload}.{signature}",
        "",
        ".",
        "\udcff.x",
        "ü.x",
        "x" * 10_000,
        f"{ours}.{signature}",
    ):
        assert await store.load(forged) is None, forged


async def test_random_bytes(clock: Clock) -> None:
    """Noise of any kind is no session and no error."""
    store, chance = CookieStore(SECRET, clock=clock), random.Random(7)
    for _ in range(500):
        noise = "".join(chr(chance.randrange(1, 256)) for _ in range(chance.randrange(200)))
        assert await store.load(noise) is None


@pytest.mark.parametrize("payload", [b"[]", b"{}", b"no JSON", b'[1,2,"x",{}]', b"[1,2,3,[]]", b"\xff"])
async def test_of_another_release(clock: Clock, payload: bytes) -> None:
    """What our key has signed in another form is no session, and no error."""
    text = base64.urlsafe_b64encode(payload).decode().rstrip("=")
    token = f"{text}.{Signer(SECRET, 'session cookie').sign(text.encode())}"
    assert await CookieStore(SECRET, clock=clock).load(token) is None
    broken = f"{'x'}.{Signer(SECRET, 'session cookie').sign(b'x')}"
    assert await CookieStore(SECRET, clock=clock).load(broken) is None


async def test_what_no_browser_would_keep(clock: Clock) -> None:
    """Too large for a cookie is an error where it was put in, not a session that silently never arrives."""
    store = CookieStore(SECRET, clock=clock)
    token = await store.create(Record(0, 0, {"text": b'"' + b"x" * 2800 + b'"'}), 60)
    assert len(token) + len("__Host-session") <= 4096
    with pytest.raises(SessionTooLarge):
        await store.create(Record(0, 0, {"text": b'"' + b"x" * 3000 + b'"'}), 60)
