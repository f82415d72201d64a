"""The codings: pieces that can be decoded as they come, and bodies that are not what they claim to be."""

from __future__ import annotations

import gzip
import random
from typing import Any

import brotli
import pytest
from backports import zstd

from fairlead.compression import available_codings, codec
from fairlead.compression.codec import decode, new_encoder
from fairlead.errors import BadRequest, PayloadTooLarge

ENCODE: dict[str, Any] = {"gzip": gzip.compress, "br": brotli.compress, "zstd": zstd.compress}
CODINGS = sorted(ENCODE)


def test_what_is_available() -> None:
    """All three here, in order of preference."""
    assert available_codings() == ("zstd", "br", "gzip")


@pytest.mark.parametrize("missing", [{"brotli"}, {"brotli", "compression.zstd", "backports.zstd"}])
def test_without_the_extra(monkeypatch: pytest.MonkeyPatch, missing: set[str]) -> None:
    """Libraries that aren't installed are not offered; gzip is always there, its errors included."""

    def import_module(name: str) -> Any:
        if name in missing:
            raise ImportError(name)
        return __import__(name, fromlist=["x"])

    caches = (codec._module, codec._errors, available_codings)
    for cached in caches:
        cached.cache_clear()
    monkeypatch.setattr("importlib.import_module", import_module)
    assert available_codings() == (("gzip",) if len(missing) > 1 else ("zstd", "gzip"))
    with pytest.raises(BadRequest):
        decode("gzip", b"x", 10)
    monkeypatch.undo()
    for cached in caches:
        cached.cache_clear()


@pytest.mark.parametrize("coding", CODINGS)
@pytest.mark.parametrize("seed", range(5))
def test_there_and_back(coding: str, seed: int) -> None:
    """Any pieces, flushed anywhere, are decoded to what they were: by us and by the library."""
    chance = random.Random(seed)
    pieces = [chance.randbytes(chance.randrange(3000)) + b"x" * chance.randrange(3000) for _ in range(10)]
    encoder = new_encoder(coding)
    coded = b"".join(encoder.compress(piece) + (encoder.flush() if chance.random() < 0.5 else b"") for piece in pieces)
    coded += encoder.finish()
    assert decode(coding, coded, 1_000_000) == b"".join(pieces)


@pytest.mark.parametrize("coding", CODINGS)
@pytest.mark.parametrize("size", [0, 1, 99, 100])
def test_at_the_limit(coding: str, size: int) -> None:
    """As long as the limit is no more than it."""
    assert decode(coding, ENCODE[coding](b"x" * size), 100) == b"x" * size


@pytest.mark.parametrize("coding", CODINGS)
@pytest.mark.parametrize("size", [101, 50_000_000])
def test_bombs(coding: str, size: int) -> None:
    """413, and no more was made of it than the limit (a few kB that say they are 50 MB)."""
    bomb = ENCODE[coding](b"\x00" * size)
    with pytest.raises(PayloadTooLarge):
        decode(coding, bomb, 100)


def test_a_window_beyond_what_http_allows() -> None:
    """zstd may ask for a window of gigabytes: refused before it is allocated (RFC 9659)."""
    bomb = zstd.compress(b"x" * 20_000_000, options={zstd.CompressionParameter.window_log: 27})
    with pytest.raises(BadRequest):
        decode("zstd", bomb, 100_000_000)


@pytest.mark.parametrize("coding", CODINGS)
def test_malformed(coding: str) -> None:
    """400: noise, cut at any place, one bit flipped (or the same bytes), something behind, a second body behind, nothing."""
    body = b"the quick brown fox " * 20
    good = ENCODE[coding](body)
    for bad in (b"", b"x", b"\x00" * 50, good[1:], good + b"x", good + good, *(good[:cut] for cut in range(len(good)))):
        with pytest.raises(BadRequest):
            decode(coding, bad, 10_000)
    for place in range(len(good)):
        flipped = good[:place] + bytes([good[place] ^ 0x10]) + good[place + 1 :]
        try:
            decode(coding, flipped, 10_000)
        except (BadRequest, PayloadTooLarge):
            continue
        assert coding == "br" or place < 10 or coding == "zstd"  # gzip has a checksum; its head holds a date nobody reads
