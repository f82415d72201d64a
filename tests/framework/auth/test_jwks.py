"""`RemoteKeySet`: fetched when needed, renewed in the background, good without the issuer, never a means to load it."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from fairlead.auth import KeySet, SigningKey
from fairlead.auth.document import Document, FetchError
from fairlead.auth.jwks import (
    DEFAULT_FRESH_S,
    MAX_FRESH_S,
    MAX_STALE_S,
    MIN_FRESH_S,
    UNKNOWN_KID_PAUSE_S,
    RemoteKeySet,
)
from fairlead.errors import ConfigurationError, ServiceUnavailable

URL = "http://auth:8001/.well-known/jwks.json"


class Issuer:
    """An issuer whose answers a test chooses: a set of keys, a document, or a failure. Counts the fetches."""

    def __init__(self, *keys: SigningKey) -> None:
        self.keys = list(keys)
        self.error: str | None = None
        self.max_age_s: int | None = None
        self.fetches = 0
        self.gate = asyncio.Event()
        self.gate.set()

    async def __call__(self, url: str) -> Document:
        assert URL == url
        self.fetches += 1
        await self.gate.wait()
        if self.error is not None:
            raise FetchError(self.error)
        return Document(KeySet(key.public for key in self.keys).to_json(), self.max_age_s)


class Clock:
    """A clock that a test turns."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def remote(issuer: Callable[[str], Awaitable[Document]], clock: Clock) -> RemoteKeySet:
    return RemoteKeySet(URL, fetch=issuer, clock=clock)


async def settled() -> None:
    """Let a background fetch finish."""
    for task in asyncio.all_tasks():
        if task.get_name() == "fetch access token keys":
            await task


async def test_keys_are_fetched_once() -> None:
    """The first look-up waits for the issuer, later ones are answered from memory."""
    key = SigningKey.generate()
    issuer = Issuer(key)
    keys = remote(issuer, Clock())
    assert [key.public, key.public] == [await keys.find(key.kid), await keys.find(key.kid)]
    assert 1 == issuer.fetches


async def test_simultaneous_look_ups_share_a_fetch() -> None:
    """A hundred requests at the start are one fetch; one that is cancelled does not end it for the others."""
    key = SigningKey.generate()
    issuer = Issuer(key)
    issuer.gate.clear()
    keys = remote(issuer, Clock())
    waiting = [asyncio.create_task(keys.find(key.kid)) for _ in range(100)]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    waiting[0].cancel()
    issuer.gate.set()
    assert [key.public] * 99 == await asyncio.gather(*waiting[1:])
    assert 1 == issuer.fetches


async def test_unknown_kid_fetches_once_a_minute() -> None:
    """SEC-J13: made-up kids cause one fetch a minute, whatever their number."""
    issuer, clock = Issuer(SigningKey.generate()), Clock()
    keys = remote(issuer, clock)
    await keys.check()
    for number in range(50):
        assert await keys.find(f"made-up-{number}") is None
    assert 2 == issuer.fetches
    clock.now += UNKNOWN_KID_PAUSE_S
    assert await keys.find("made-up") is None
    assert 3 == issuer.fetches


async def test_unknown_kids_at_the_same_time() -> None:
    """A fetch that is under way serves whoever asks for a key of the new set meanwhile."""
    new = SigningKey.generate()
    issuer = Issuer(SigningKey.generate())
    keys = remote(issuer, Clock())
    await keys.check()
    issuer.keys.append(new)
    assert [None, new.public] == await asyncio.gather(keys.find("made-up"), keys.find(new.kid))
    assert 2 == issuer.fetches


async def test_new_key_is_found_at_once() -> None:
    """SEC-J13: after a rotation the first token of the new key causes a fetch and is accepted; the old key stays."""
    old, new = SigningKey.generate(), SigningKey.generate()
    issuer = Issuer(old)
    keys = remote(issuer, Clock())
    await keys.find(old.kid)
    issuer.keys = [new, old]
    assert (new.public, old.public) == (await keys.find(new.kid), await keys.find(old.kid))


async def test_removed_key_is_refused_after_the_renewal() -> None:
    """SEC-J13: a key that the issuer takes away is unknown as soon as the set was renewed."""
    key, other = SigningKey.generate(), SigningKey.generate()
    issuer, clock = Issuer(key, other), Clock()
    keys = remote(issuer, clock)
    await keys.find(key.kid)
    issuer.keys = [other]
    clock.now += DEFAULT_FRESH_S
    assert key.public == await keys.find(key.kid)  # this look-up starts the renewal and does not wait for it
    await settled()
    assert await keys.find(key.kid) is None


@pytest.mark.parametrize(
    ("max_age_s", "fresh_s"),
    [(None, DEFAULT_FRESH_S), (600, 600), (0, MIN_FRESH_S), (10_000_000, MAX_FRESH_S)],
)
async def test_freshness_follows_the_issuer_within_bounds(max_age_s: int | None, fresh_s: int) -> None:
    """The issuer's max-age counts, but neither for less than half a minute nor for more than an hour."""
    key, clock = SigningKey.generate(), Clock()
    issuer = Issuer(key)
    issuer.max_age_s = max_age_s
    keys = remote(issuer, clock)
    await keys.find(key.kid)
    clock.now += fresh_s - 1
    await keys.find(key.kid)
    await settled()
    assert 1 == issuer.fetches
    clock.now += 1
    await keys.find(key.kid)
    await settled()
    assert 2 == issuer.fetches


async def test_stale_keys_serve_while_the_issuer_is_away(caplog: pytest.LogCaptureFixture) -> None:
    """The issuer's outage is logged once, does not stop verification, and its end is noticed."""
    caplog.set_level("INFO", "fairlead.auth")
    key, clock = SigningKey.generate(), Clock()
    issuer = Issuer(key)
    keys = remote(issuer, clock)
    await keys.find(key.kid)
    issuer.error = "refused"
    for _ in range(5):
        clock.now += 1000
        assert key.public == await keys.find(key.kid)
        await settled()
        await keys.check()
    assert [f"the keys of {URL} can't be had: refused; going on with those of before"] == caplog.messages
    issuer.error = None
    clock.now += 1000
    await keys.find(key.kid)
    await settled()
    assert f"the keys of {URL} can be had again" == caplog.messages[-1]


async def test_stale_keys_do_not_serve_for_ever() -> None:
    """Keys that nobody has confirmed for a day are not trusted any more."""
    key, clock = SigningKey.generate(), Clock()
    issuer = Issuer(key)
    keys = remote(issuer, clock)
    await keys.find(key.kid)
    issuer.error = "refused"
    clock.now += MAX_STALE_S + 1
    with pytest.raises(ServiceUnavailable):
        await keys.find(key.kid)


async def test_without_any_keys_the_answer_is_503() -> None:
    """No keys: 503 with Retry-After, one fetch per pause, and a pause that doubles up to half a minute."""
    issuer, clock = Issuer(SigningKey.generate()), Clock()
    issuer.error = "refused"
    keys = remote(issuer, clock)
    pauses: list[str] = []
    for fetches in range(1, 8):
        for _ in range(3):
            with pytest.raises(ServiceUnavailable) as caught:
                await keys.find("any")
        assert fetches == issuer.fetches
        assert {"cause": f"{URL}: refused"} == caught.value.extra
        pauses.append(caught.value.headers["Retry-After"])
        clock.now += float(pauses[-1])
    assert ["1", "2", "4", "8", "16", "30", "30"] == pauses


async def test_check_follows_the_keys() -> None:
    """The health check raises until there are keys, and fetches them without a request."""
    issuer, clock = Issuer(SigningKey.generate()), Clock()
    issuer.error = "refused"
    keys = remote(issuer, clock)
    with pytest.raises(ServiceUnavailable):
        await keys.check()
    issuer.error = None
    clock.now += 1
    await keys.check()


async def test_unknown_kid_does_not_hammer_an_issuer_that_is_down() -> None:
    """SEC-J13: while fetches fail, an unknown kid is not a reason to try before the pause is over."""
    key, clock = SigningKey.generate(), Clock()
    issuer = Issuer(key)
    keys = remote(issuer, clock)
    await keys.find(key.kid)
    issuer.error = "refused"
    clock.now += DEFAULT_FRESH_S
    await keys.find(key.kid)
    await settled()
    assert await keys.find("made-up") is None
    assert 2 == issuer.fetches


async def test_document_that_is_no_set_keeps_the_keys() -> None:
    """An issuer that publishes nonsense for a while is an outage, not an order to forget all keys."""
    key, clock = SigningKey.generate(), Clock()
    issuer = Issuer(key)
    keys = remote(issuer, clock)
    await keys.find(key.kid)
    issuer.keys = []
    clock.now += DEFAULT_FRESH_S
    await keys.find(key.kid)
    await settled()
    assert key.public == await keys.find(key.kid)


async def test_close_ends_a_fetch() -> None:
    """The end of the service does not wait for an issuer; closing twice, or without a fetch, is fine."""
    issuer = Issuer(SigningKey.generate())
    issuer.gate.clear()
    keys = remote(issuer, Clock())
    await keys.close()
    waiting = asyncio.create_task(keys.find("any"))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    await keys.close()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await keys.close()


def test_address_must_be_a_url() -> None:
    """K7: a malformed address stops the start."""
    with pytest.raises(ConfigurationError):
        RemoteKeySet("auth/jwks.json")
