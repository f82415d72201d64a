"""fairlead.telemetry.rendering: one event, one line."""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import json
import time
import uuid
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fairlead.request import Request
from fairlead.telemetry.rendering import MAX_TEXT, ConsoleRenderer, Event, JsonRenderer, escape, rfc3339_ms

from .conftest import IDENTITY, MakeRequest

ANY_TEXT = st.text(alphabet=st.characters(exclude_categories=())) | st.sampled_from(
    ["\x1b[31m", "\r\n", "\u2028", "\ud800", "\u202e", "\x9b", 'Bearer "x"\\', 'token="a', '://a:"b@c', "cookie,"]
)
ANY_VALUE = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | ANY_TEXT | st.binary() | st.decimals() | st.uuids(),
    lambda values: st.lists(values) | st.dictionaries(ANY_TEXT | st.integers(), values),
    max_leaves=10,
)


def render(event: str = "price changed", /, **fields: Any) -> dict[str, Any]:
    line: dict[str, Any] = json.loads(JsonRenderer(IDENTITY)(Event(0.0, "info", "catalog", event, fields)))
    return line


def raised(exception: BaseException) -> BaseException:
    try:
        raise exception
    except BaseException as caught:
        return caught


def test_the_schema() -> None:
    """Names and their order are as documented."""
    event = Event(1_700_000_000.1239, "warning", "catalog.prices", "price changed", {"sku": "A1", "price": 990})
    assert JsonRenderer(IDENTITY)(event) == (
        b'{"timestamp":"2023-11-14T22:13:20.123Z","level":"warning","event":"price changed","logger":"catalog.prices",'
        b'"service":"catalog","version":"26.11.0","worker":0,"pid":7,"sku":"A1","price":990}\n'
    )


def test_a_request_puts_its_ids_on_the_line(make_request: MakeRequest, handling: Callable[[Request[Any, Any]], None]) -> None:
    """request_id always, trace_id when the caller sent one (T9)."""
    trace = "0af7651916cd43dd8448eb211c80319c"
    handling(make_request(headers={"X-Request-ID": "abc-1", "traceparent": f"00-{trace}-b7ad6b7169203331-01"}))
    line = render()
    assert (line["request_id"], line["trace_id"]) == ("abc-1", trace)


def test_outside_of_requests_there_are_no_ids() -> None:
    """A line of the start-up has no request."""
    assert "request_id" not in render()


@settings(deadline=None)
@given(ANY_TEXT, ANY_TEXT, st.dictionaries(ANY_TEXT, ANY_VALUE, max_size=4), ANY_TEXT)
def test_any_input_gives_one_line_of_json(event: str, logger: str, fields: dict[str, Any], message: str) -> None:
    """Whatever is logged, one valid line comes out, and nothing in it that a terminal obeys (SEC-A05)."""
    line = JsonRenderer(IDENTITY)(Event(0.0, "error", logger, event, fields, raised(ValueError(message)))).decode()
    assert line.endswith("\n")
    assert len(line.splitlines()) == 1
    assert escape(line[:-1]) == line[:-1]
    assert json.loads(line)["level"] == "error"


@settings(deadline=None)
@given(ANY_TEXT, st.dictionaries(ANY_TEXT, ANY_VALUE, max_size=4))
def test_any_input_gives_one_line_of_text(event: str, fields: dict[str, Any]) -> None:
    """The same for a terminal."""
    line = ConsoleRenderer(colours=False)(Event(0.0, "info", "x", event, fields)).decode()
    assert len(line.splitlines()) == 1
    assert escape(line[:-1]) == line[:-1]


@settings(deadline=None)
@given(st.text())
def test_ordinary_text_comes_back_as_it_was(text: str) -> None:
    """Escaping is JSON's own: a reader gets the text that was logged."""
    if "=" not in text and "://" not in text:
        assert render(field=text)["field"] == text


def test_own_fields_give_way_to_the_schema() -> None:
    """A field that has a name of the schema gets an underscore: nobody can forge another service's line."""
    line = render(service="other", request_id="forged", timestamp="never", sku="A1")
    assert line["service"] == "catalog"
    assert (line["service_"], line["request_id_"], line["timestamp_"]) == ("other", "forged", "never")


@dataclasses.dataclass
class Account:
    email: str
    password: str


class Settings(msgspec.Struct):
    url: str
    api_key: str


class Broken:
    def __repr__(self) -> str:
        raise RuntimeError("no")


class BrokenMapping(dict[str, int]):
    def items(self) -> Any:
        raise RuntimeError("no")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (BrokenMapping(), "<BrokenMapping, not describable: RuntimeError>"),
        ({"inner": BrokenMapping()}, {"inner": "<BrokenMapping, not describable: RuntimeError>"}),
        (uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (datetime.datetime(2026, 11, 20, tzinfo=datetime.UTC), "2026-11-20T00:00:00Z"),
        (decimal.Decimal("1.50"), "1.50"),
        (b"a\xff", "a\\xff"),
        ((1, "a"), [1, "a"]),
        (float("nan"), None),
        (2**70, 2**70),
        ({"a": {"password": "x", "b": [{"token": "y"}]}}, {"a": {"password": "***", "b": [{"token": "***"}]}}),
        ({1: 2}, {"1": 2}),
        (Account("a@b.c", "hunter2"), {"email": "a@b.c", "password": "***"}),
        (Settings("redis://u:p@h", "k"), {"url": "redis://u:***@h", "api_key": "***"}),
        (ValueError("no"), "no"),
        (Broken(), "<Broken, not describable: RuntimeError>"),
    ],
)
def test_objects_are_described(value: Any, expected: Any) -> None:
    """What JSON doesn't know is described; secrets inside are masked; an object that can't be described costs nothing."""
    assert render(value=value)["value"] == expected


def test_a_circle_ends() -> None:
    """A structure that holds itself is cut off."""
    circle: list[Any] = []
    circle.append(circle)
    assert "…" in json.dumps(render(circle=circle), ensure_ascii=False)


def test_secrets_by_name_and_by_look() -> None:
    """Fields of telling names and token-like values are masked; a number of tokens is shown."""
    line = render("sent Bearer abcdefgh", password="x", Authorization="Basic abc", tokens_left=5, url="redis://:p@h")
    assert line["event"] == "sent Bearer ***"
    assert (line["password"], line["Authorization"], line["tokens_left"]) == ("***", "***", 5)
    assert line["url"] == "redis://:***@h"


def test_long_texts_are_cut() -> None:
    """A text is bounded, and says what is missing."""
    assert render(body="x" * (MAX_TEXT + 5))["body"] == "x" * MAX_TEXT + "… (5 more characters)"


def test_an_exception_is_one_field() -> None:
    """Type, message and traceback with its cause; credentials in it are masked."""
    cause = raised(KeyError("sku"))
    try:
        raise ConnectionError("to redis://:hunter2@cache") from cause
    except ConnectionError as error:
        line = json.loads(JsonRenderer(IDENTITY)(Event(0.0, "error", "x", "failed", {}, error)))
    assert line["exception"]["type"] == "ConnectionError"
    assert line["exception"]["message"] == "to redis://:***@cache"
    assert line["exception"]["stacktrace"].startswith("Traceback (most recent call last):\n")
    assert "KeyError: 'sku'" in line["exception"]["stacktrace"]
    assert "hunter2" not in json.dumps(line)


def test_exceptions_of_a_module_are_named_with_it() -> None:
    """Types that aren't built in carry their module; one whose text fails is described all the same."""

    class Odd(Exception):
        def __str__(self) -> str:
            raise RuntimeError("no")

    line = json.loads(JsonRenderer(IDENTITY)(Event(0.0, "error", "x", "failed", {}, raised(Odd()))))
    assert line["exception"]["type"].endswith("test_rendering.test_exceptions_of_a_module_are_named_with_it.<locals>.Odd")
    assert line["exception"]["message"] == "<not describable: RuntimeError>"


def test_a_long_traceback_keeps_its_end() -> None:
    """What names the error is the last line."""
    line = json.loads(JsonRenderer(IDENTITY)(Event(0.0, "error", "x", "", {}, raised(ValueError("y" * MAX_TEXT + "end")))))
    assert line["exception"]["stacktrace"].endswith("end")
    assert len(line["exception"]["stacktrace"]) <= MAX_TEXT


def test_a_stack_is_a_field() -> None:
    """The call stack that a caller asked for."""
    line = json.loads(JsonRenderer(IDENTITY)(Event(0.0, "info", "x", "", {}, None, 'File "a.py", line 1')))
    assert line["stack"] == 'File "a.py", line 1'


def test_text_for_a_terminal() -> None:
    """Level, event, logger and fields; the traceback below it, indented."""
    renderer = ConsoleRenderer(colours=False, worker=1)
    event = Event(0.5, "error", "catalog", "failed", {"sku": "A 1", "price": 990, "password": "x"}, raised(ValueError("no")))
    head, *rest = renderer(event).decode().splitlines()
    clock = time.strftime("%H:%M:%S", time.localtime(0))
    assert head == f'{clock}.500 [1] error    failed (catalog) sku="A 1" price=990 password=***'
    assert rest[0] == "    Traceback (most recent call last):"
    assert rest[-1] == "    ValueError: no"


def test_colours_are_the_only_escapes() -> None:
    """Colours frame the parts; an escape inside a text stays visible and without effect."""
    line = ConsoleRenderer(colours=True)(Event(0.0, "info", "x", "a\x1b[2Jb", {})).decode()
    assert "\x1b[32minfo" in line
    assert "a\\u001b[2Jb" in line


def test_the_time_of_the_next_second() -> None:
    """The kept text of a second is not used for another one, earlier ones included."""
    assert [rfc3339_ms(second) for second in (0.0, 1.5, 0.9999)] == [
        "1970-01-01T00:00:00.000Z",
        "1970-01-01T00:00:01.500Z",
        "1970-01-01T00:00:00.999Z",
    ]
