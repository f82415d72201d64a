"""Addresses: one form for each account, and what is none."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auth.domain.account import normalise_email


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a@example.com", "a@example.com"),
        (" A.B+Tag@Example.COM ", "a.b+tag@example.com"),
        ("o'neill!#$%&*/=?^_`{|}~-@x-y.example", "o'neill!#$%&*/=?^_`{|}~-@x-y.example"),
        ("jose\u0301@example.com", "jos\u00e9@example.com"),
        ("ДМИТРИЙ@Почта.рф", "дмитрий@почта.рф"),
        ("用户@例子.公司", "用户@例子.公司"),
        (f"{'l' * 64}@{'d' * 63}.{'d' * 63}.{'d' * 57}.ab", f"{'l' * 64}@{'d' * 63}.{'d' * 63}.{'d' * 57}.ab"),
    ],
)
def test_one_form(text: str, expected: str) -> None:
    """Case, surrounding spaces and composition do not make another account."""
    assert expected == normalise_email(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "@",
        "a",
        "a@",
        "@example.com",
        "a@localhost",
        "a@example..com",
        "a@.example.com",
        "a@example.com.",
        "a@-example.com",
        "a@example-.com",
        "a@exa_mple.com",
        "a@b@example.com",
        ".a@example.com",
        "a.@example.com",
        "a..b@example.com",
        "a b@example.com",
        '"a b"@example.com',
        "a@[127.0.0.1]",
        "a,b@example.com",
        "a\n@example.com",
        "a\0@example.com",
        "a@example.com\r\nBcc: b@example.com",
        "a\u202e@example.com",
        "\ud800@example.com",
        f"{'l' * 65}@example.com",
        f"a@{'d' * 64}.com",
        f"{'l' * 64}@{'d' * 63}.{'d' * 63}.{'d' * 59}.ab",
    ],
)
def test_no_address(text: str) -> None:
    """What no mail could reach, or what would break out of a line, is refused."""
    with pytest.raises(ValueError, match=r"^Not an email address$"):
        normalise_email(text)


@given(st.emails() | st.text())
def test_normal_form_is_stable(text: str) -> None:
    """Normalising twice changes nothing: what is stored is found again."""
    try:
        email = normalise_email(text)
    except ValueError:
        return
    assert email == normalise_email(email)
