"""A session as a handler sees it."""

from __future__ import annotations

from uuid import UUID

import msgspec
import pytest

from fairlead.sessions import Record, Session


class Cart(msgspec.Struct):
    items: list[int]


def stored() -> Session:
    return Session(200.0, Record(100.0, 150.0, {"user": b'"ada"', "cart": b'{"items":[1]}'}), "token")


def test_a_mapping() -> None:
    """Everything that a mapping does; absent keys are KeyErrors."""
    session = stored()
    assert (session["user"], len(session), list(session), "user" in session, "x" in session) == (
        "ada",
        2,
        ["user", "cart"],
        True,
        False,
    )
    assert session.get("x") is None
    assert session.pop("user") == "ada"
    with pytest.raises(KeyError):
        session["user"]
    with pytest.raises(KeyError):
        del session["user"]
    with pytest.raises(TypeError, match="keys are text"):
        session[1] = 1  # type: ignore[index]
    assert (session.is_new, session.created_at, Session(1.0).is_new) == (False, 100.0, True)


def test_its_values_are_not_shown() -> None:
    """A session in a log line tells nothing (SEC-T05)."""
    assert repr(stored()) == "<Session user, cart>"


def test_changes() -> None:
    """What is different by value: also inside of a value; what is only read or set to the same is none."""
    session = stored()
    assert session["user"] == "ada"
    session["user"] = "ada"
    assert session.changes() == set()
    session["cart"]["items"].append(2)
    session["new"] = None
    assert session.changes() == {"cart", "new"}
    assert session.record.values == {"user": b'"ada"', "cart": b'{"items":[1,2]}', "new": b"null"}
    del session["cart"]
    assert session.changes() == {"cart"}


def test_typed() -> None:
    """As a Struct; a value of another form is as good as none."""
    session = stored()
    assert session.typed("cart", Cart) == Cart([1])
    assert session.typed("user", Cart) is None
    assert session.typed("missing", int, 7) == 7
    session["cart"] = Cart([5])
    assert session.typed("cart", Cart) == Cart([5])
    session["id"] = UUID(int=7)
    assert session.typed("id", UUID) == UUID(int=7)


@pytest.mark.parametrize(
    ("use", "accessed"),
    [
        (lambda session: repr(session), False),
        (lambda session: session.is_new, False),
        (lambda session: session.get("user"), True),
        (lambda session: "x" in session, True),
        (lambda session: len(session), True),
        (lambda session: list(session), True),
        (lambda session: session.regenerate(), True),
        (lambda session: session.update(a=1), True),
    ],
)
def test_whether_it_was_looked_at(use: object, accessed: bool) -> None:
    """An answer depends on the session as soon as anything of it was read."""
    session = stored()
    assert callable(use)
    use(session)
    assert session.accessed == accessed


def test_sealed() -> None:
    """After the answer has begun, reading goes on and every change raises."""
    session = stored()
    session.seal("its response has begun")
    assert session["user"] == "ada"
    for change in (
        lambda: session.update(user="eve"),
        lambda: session.pop("user"),
        session.invalidate,
        session.regenerate,
    ):
        with pytest.raises(RuntimeError, match="its response has begun"):
            change()
    assert session["user"] == "ada"
