"""Signatures: rotation, separated purposes, and secrets that are none."""

from __future__ import annotations

import pytest

from fairlead.errors import ConfigurationError
from fairlead.sessions.signer import Signer
from fairlead.settings import Secret
from fairlead.telemetry.masking import mask_tokens

OLD, NEW = "an old secret with enough characters 1", "a new secret with enough characters 2"


def test_rotation() -> None:
    """The first signs, all verify; a secret that was taken away verifies nothing."""
    old, both, new = Signer(OLD, "test"), Signer([Secret(NEW), OLD], "test"), Signer(NEW, "test")
    signature = old.sign(b"message")
    assert both.verifies(b"message", signature)
    assert not new.verifies(b"message", signature)
    assert new.verifies(b"message", both.sign(b"message"))
    assert not old.verifies(b"message", both.sign(b"message"))


def test_purposes_are_apart() -> None:
    """A signature for one thing is none for another, under the same secret."""
    assert not Signer(OLD, "csrf").verifies(b"message", Signer(OLD, "session").sign(b"message"))


@pytest.mark.parametrize("signature", ["", "x", "ü" * 43, "\x00", "\udcff", "A" * 43, "A" * 100_000])
def test_forged_signatures(signature: str) -> None:
    """Whatever is sent, the answer is no."""
    assert not Signer(OLD, "test").verifies(b"message", signature)


@pytest.mark.parametrize("secrets", ["", [], "short", "a" * 64, "abcdefg" * 9, [OLD, "short"], Secret(""), "changeme", "x" * 31])
def test_what_is_no_secret(secrets: list[str]) -> None:
    """Missing, short, monotonous: refused at start, exit status 2, and never shown (SEC-J11, K7)."""
    with pytest.raises(ConfigurationError) as refused:
        Signer(secrets, "session cookie")
    assert "the session cookie" in mask_tokens(str(refused.value)) == str(refused.value)  # the log shows it whole
    assert "changeme" not in str(refused.value)
