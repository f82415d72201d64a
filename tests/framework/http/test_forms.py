"""Query strings and urlencoded forms."""

from __future__ import annotations

from urllib.parse import parse_qsl, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairlead import App, Request, json
from fairlead.errors import BadRequest
from fairlead.http.forms import MAX_FIELDS, decode_form, parse_pairs, parse_parameters
from fairlead.testing import AsyncTestClient


@given(st.text(alphabet="ab=&%+;41é", max_size=30), st.booleans())
def test_shortcut_agrees_with_the_library(text: str, keep: bool) -> None:
    """The shortcut for strings without escapes gives what the standard library gives."""
    assert parse_pairs(text, keep) == parse_qsl(text, keep_blank_values=keep)


@given(st.lists(st.tuples(st.text(), st.text())))
def test_round_trip(pairs: list[tuple[str, str]]) -> None:
    """What was encoded is decoded, surrogates aside."""
    clean = [(name.encode("utf-8", "ignore").decode(), value.encode("utf-8", "ignore").decode()) for name, value in pairs]
    assert parse_pairs(urlencode(clean), True) == clean


def test_number_of_fields() -> None:
    """MAX_FIELDS pass, one more is 400, plain or escaped."""
    for piece in ("a=1", "%61=1"):
        assert len(parse_pairs("&".join([piece] * MAX_FIELDS))) == MAX_FIELDS
        with pytest.raises(BadRequest):
            parse_pairs("&".join([piece] * (MAX_FIELDS + 1)))


def test_parameters() -> None:
    """`get` gives the first value, `getlist` all."""
    assert parse_parameters("") == {}
    parameters = parse_parameters("a=1&b=2&a=3")
    assert list(parse_parameters("a=%31&b")) == ["a"]
    assert (parameters.get("a"), parameters.getlist("a"), parameters["b"]) == ("1", ["1", "3"], ["2"])
    assert (parameters.get("x"), parameters.get("x", "d"), parameters.getlist("x", ["d"])) == (None, "d", ["d"])


def test_strict_decoding() -> None:
    """In strict mode bytes that are no UTF-8 are 400."""
    with pytest.raises(BadRequest):
        parse_pairs("a=%FF", errors="strict")


def test_form_that_is_not_in_its_charset() -> None:
    """A body whose bytes are not in the charset that it names is 400, and read in the one that they are in."""
    with pytest.raises(BadRequest, match="not utf-8"):
        decode_form(b"a=\xe4")
    assert decode_form(b"a=\xe4", "iso-8859-1").get("a") == "ä"


async def test_form_of_a_request() -> None:
    """A urlencoded form is read; another type is 415, an impossible charset 400."""
    app = App("forms")

    @app.post("/")
    async def submit(request: Request) -> object:
        return json(request.form)

    async with AsyncTestClient(app) as client:
        assert (await client.post("/", data={"a": "1 ü", "b": ""})).json() == {"a": ["1 ü"], "b": [""]}
        assert (await client.post("/", json={})).status_code == 415
        kind = "application/x-www-form-urlencoded; charset=nope"
        assert (await client.post("/", content=b"a=1", headers={"content-type": kind})).status_code == 400
