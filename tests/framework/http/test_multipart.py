"""Multipart forms on the level of bytes: events, limits, and what must not slow the reader down."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairlead.errors import BadRequest, PayloadTooLarge
from fairlead.http.limits import FormLimits
from fairlead.http.multipart import END_OF_PART, MultipartReader, PartHead, boundary_of

FIELD = b'--b\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n'
END = b"--b--\r\n"


def part(content: bytes, disposition: str = 'form-data; name="a"', *lines: str) -> bytes:
    """A part of a form whose boundary is b."""
    head = "\r\n".join([f"Content-Disposition: {disposition}", *lines])
    return b"--b\r\n" + head.encode() + b"\r\n\r\n" + content + b"\r\n"


def read(*pieces: bytes, boundary: str = "b", **limits: int) -> list[tuple[PartHead, bytes]]:
    """The parts of a form that arrives in these pieces."""
    reader = MultipartReader(boundary, FormLimits(**limits))
    parts: list[tuple[PartHead, bytes]] = []
    head: PartHead | None = None
    content = b""
    for piece in pieces:
        for event in reader.feed(piece):
            if isinstance(event, PartHead):
                head, content = event, b""
            elif event is END_OF_PART:
                assert head is not None
                parts.append((head, content))
            else:
                content += event
    reader.end()
    return parts


def test_fields_and_files() -> None:
    """A field has no file name; a file has one, with its media type and headers."""
    form = part("1 ü".encode()) + part(
        b"\r\n--x", 'form-data; name="f"; filename="a.png"', "Content-Type: image/PNG; q=1", "x-y: z"
    )
    (field, text), (file, content) = read(form + END)
    assert (field.name, field.filename, field.type, text.decode()) == ("a", None, "text/plain", "1 ü")
    assert (file.name, file.filename, file.type, content) == ("f", "a.png", "image/png", b"\r\n--x")
    assert file.headers[1:] == (("Content-Type", "image/PNG; q=1"), ("X-Y", "z"))
    assert read(part(b"", 'form-data; name="f"; filename="x"') + END)[0][0].type == "application/octet-stream"
    assert read(part(b"x", 'form-data; name="a"', "Content-Type: text/plain; charset=latin-1") + END)[0][0].charset == "latin-1"


def test_empty_form() -> None:
    """A form without parts is one."""
    assert read(b"--b--") == []


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ('filename="a b.txt"', "a b.txt"),
        ('filename="%22.txt"', '".txt'),
        ('filename="../../etc/passwd"', "passwd"),
        ('filename="C:\\\\dir\\\\a.txt"', "a.txt"),
        ("filename*=UTF-8''na%C3%AFve.txt", "naïve.txt"),
        ("filename*=utf-8'en'..%2F..%2Fx", "x"),
        ('filename="x%00.png"', "x%00.png"),
        ("filename*=UTF-8''x%00.png", "x.png"),
        ('filename=""', ""),
    ],
)
def test_file_names(given: str, name: str) -> None:
    """A file's name is the last component of what the client says, and holds no NUL."""
    assert read(part(b"x", f'form-data; name="f"; {given}') + END)[0][0].filename == name


@given(st.lists(st.integers(0, 200), max_size=6), st.binary(max_size=40))
def test_any_split_gives_the_same(cuts: list[int], content: bytes) -> None:
    """However the stream is cut, its parts are the same; what follows the last boundary is passed over."""
    form = part(content.replace(b"--b", b"--c")) + part(b"x\r", 'form-data; name="f"; filename="y"') + END + b"after"
    points = sorted({0, len(form), *(min(cut, len(form)) for cut in cuts)})
    pieces = [form[start:end] for start, end in pairwise(points)]
    assert read(*pieces) == read(form)


def test_byte_by_byte() -> None:
    """Single bytes are a split as any other, a line break before the first boundary included."""
    form = b"\r\n" + FIELD + END + b"\r\nmore"
    assert read(*(form[index : index + 1] for index in range(len(form)))) == read(form)


MALFORMED = {
    "nothing": b"",
    "no boundary": b"hello, world, this is no form",
    "preamble": b"preamble\r\n" + FIELD + END,
    "other boundary": b"--c\r\nContent-Disposition: form-data; name=a\r\n\r\n1\r\n--c--",
    "cut in the first line": b"--b",
    "cut in a header": b"--b\r\nContent-Dis",
    "cut in the content": b'--b\r\nContent-Disposition: form-data; name="a"\r\n\r\nabc',
    "last boundary missing": FIELD,
    "bare LF": FIELD.replace(b"\r\n", b"\n") + END,
    "no disposition": b"--b\r\nContent-Type: text/plain\r\n\r\n1\r\n" + END,
    "other disposition": part(b"x", 'attachment; name="a"') + END,
    "no name": part(b"x", "form-data") + END,
    "folded line": part(b"x", 'form-data;\r\n name="a"') + END,
    "header without colon": part(b"x", 'form-data; name="a"', "nonsense") + END,
    "header name of impossible characters": part(b"x", 'form-data; name="a"', "a b: c") + END,
    "undecodable header": b'--b\r\nContent-Disposition: form-data; name="\xff"\r\n\r\n1\r\n' + END,
    "junk after a boundary": FIELD + b"--bx" + END,
    "longer than its Content-Length": part(b"abc", 'form-data; name="a"', "Content-Length: 2") + END,
    "shorter than its Content-Length": part(b"abc", 'form-data; name="a"', "Content-Length: 4") + END,
    "no number as Content-Length": part(b"abc", 'form-data; name="a"', "Content-Length: +3") + END,
}


@pytest.mark.parametrize("form", MALFORMED.values(), ids=list(MALFORMED))
def test_malformed_forms(form: bytes) -> None:
    """A malformed form is 400, whether it comes at once or byte by byte."""
    for pieces in ([form], [form[index : index + 1] for index in range(len(form))]):
        with pytest.raises(BadRequest):
            read(*pieces)


@pytest.mark.parametrize(
    "content_type",
    [
        "multipart/form-data",
        "multipart/form-data; boundary=",
        "multipart/form-data; boundary=" + "b" * 71,
        'multipart/form-data; boundary="b "',
        "multipart/form-data; boundary=bü",
        'multipart/form-data; boundary="b\r\nx"',
    ],
)
def test_impossible_boundaries(content_type: str) -> None:
    """A boundary is 1 to 70 characters of RFC 2046's set: the reader looks for it in everything that comes."""
    with pytest.raises(BadRequest):
        boundary_of(content_type)


def test_possible_boundaries() -> None:
    """Quoted or not, up to 70 characters."""
    assert boundary_of('multipart/form-data; boundary="a b:c"') == "a b:c"
    assert boundary_of("multipart/form-data; boundary=" + "b" * 70) == "b" * 70


LIMITS: dict[str, tuple[dict[str, int], bytes, bytes]] = {
    "parts": ({"max_parts": 3}, FIELD * 3 + END, FIELD * 4 + END),
    "field": ({"max_field_bytes": 10}, part(b"x" * 10) + END, part(b"x" * 11) + END),
    "file": (
        {"max_file_bytes": 10, "max_field_bytes": 1},
        part(b"x" * 10, 'form-data; name="f"; filename="y"') + END,
        part(b"x" * 11, 'form-data; name="f"; filename="y"') + END,
    ),
    "header line": (
        {"max_header_bytes": 60},
        part(b"", 'form-data; name="a"', "X: " + "y" * 57) + END,
        part(b"", 'form-data; name="a"', "X: " + "y" * 58) + END,
    ),
    "header lines": (
        {"max_part_headers": 3},
        part(b"", 'form-data; name="a"', "X: y", "X: y") + END,
        part(b"", 'form-data; name="a"', "X: y", "X: y", "X: y") + END,
    ),
}


@pytest.mark.parametrize(("limits", "at", "past"), LIMITS.values(), ids=list(LIMITS))
def test_limits(limits: dict[str, int], at: bytes, past: bytes) -> None:
    """What stands at a limit passes, what goes past it is 413 (CVE-2023-25577, CVE-2023-30798, CVE-2024-47874)."""
    assert read(at, **limits)
    for pieces in ([past], [past[index : index + 1] for index in range(len(past))]):
        with pytest.raises(PayloadTooLarge):
            read(*pieces, **limits)


def test_header_without_end() -> None:
    """A header line that never ends is refused at the limit, not kept (CVE-2024-47874)."""
    reader = MultipartReader("b", FormLimits())
    list(reader.feed(b"--b\r\nX: "))
    for _ in range(4):
        assert list(reader.feed(b"y" * 1000)) == []
    with pytest.raises(PayloadTooLarge):
        list(reader.feed(b"y" * 1000))


@pytest.mark.parametrize("filler", [b"\r", b"\r\n", b"\r\n--", b"\r\n--" + b"b" * 39, b"-", b"\n"])
def test_contents_that_resemble_boundaries(filler: bytes) -> None:
    """Content made of line ends and near-boundaries takes linear time: what is kept between pieces stays shorter than a
    boundary (CVE-2023-46136)."""
    reader = MultipartReader("b" * 40, FormLimits(max_field_bytes=0))
    list(reader.feed(b"--" + b"b" * 40 + b'\r\nContent-Disposition: form-data; name="a"\r\n\r\n'))
    given, got = 0, 0
    for _ in range(200):
        given += len(filler) * 100
        got += sum(len(event) for event in reader.feed(filler * 100) if isinstance(event, bytes))
        assert given - got < 44


def test_dispositions_that_make_patterns_backtrack() -> None:
    """A header line full of quotes, spaces and backslashes costs no more than its length (CVE-2024-24762)."""
    for option in ('; a="', '; a="\\', "; ", ";", "; a", "; a =", "; a= ", "; filename*=utf-8'"):
        form = part(b"x", 'form-data; name="a"' + option * (4000 // len(option)))
        assert len(read(form * 500 + END)) == 500


def test_events_after_the_end() -> None:
    """Nothing that follows the last boundary is looked at, however much it is."""
    reader = MultipartReader("b", FormLimits())
    events: list[Any] = [*reader.feed(FIELD + END), *reader.feed(FIELD), *reader.feed(b"x" * 1000)]
    assert len(events) == 3
    reader.end()
