"""Which passwords are refused (SEC-P03), and that nothing else is."""

import pytest

from auth.domain.password import problem_of

EMAIL = "gardener@example.com"
SHORT = "A password has at least 8 characters"
LONG = "A password has at most 4096 characters"
COMMON = "This is one of the passwords that are tried first"
ADDRESS = "The password is the address"


@pytest.mark.parametrize(
    ("password", "expected"),
    [
        ("", SHORT),
        ("x7$kQ2!", SHORT),
        ("ü" * 7, SHORT),
        ("k" * 4097, LONG),
        ("password", COMMON),
        ("Password", COMMON),
        ("PASSWORD1", COMMON),
        ("P@ssw0rd", COMMON),
        ("Pa$$w0rd!", COMMON),
        ("p4ssw0rd2026!", COMMON),
        ("!!123password123!!", COMMON),
        ("12345678", COMMON),
        ("1234567890", COMMON),
        ("87654321", COMMON),
        ("qwertyuiop", COMMON),
        ("poiuytrewq", COMMON),
        ("qwertz123", COMMON),
        ("1qaz2wsx", COMMON),
        ("1q2w3e4r5t", COMMON),
        ("abcdefgh", COMMON),
        ("abc-def-gh", COMMON),
        ("aaaaaaaa", COMMON),
        ("abababab", COMMON),
        ("12341234", COMMON),
        ("iloveyou", COMMON),
        ("letmein123", COMMON),
        ("adminadmin", COMMON),
        ("welcomebackhome", None),
        ("welcome2026", COMMON),
        ("summer2026!", COMMON),
        ("superman99", COMMON),
        ("monkeydragon", COMMON),
        ("gardener@example.com", ADDRESS),
        ("Gardener@Example.com", ADDRESS),
        ("gardener", ADDRESS),
    ],
)
def test_refused_passwords(password: str, expected: str) -> None:
    """SEC-P03: too short, too long, and what an attacker tries first; each with its own words."""
    assert expected == problem_of(password, EMAIL)


@pytest.mark.parametrize(
    "password",
    [
        "correct horse battery",
        "zanzibar-tapioca",
        "only lower case letters",
        "46012779345",
        "%&)(=?*'_;:>",
        "\u2603" * 8,
        "\U0001f600" * 8,
        "пароль для всех",
        "パスワードですよね",
        "with\0nul and\ttab",
        "x" * 64,
        "a" * 1024,
        "a" * 4096,
        "my password is long enough",
        "gardener@example.com!",
    ],
)
def test_accepted_passwords(password: str) -> None:
    """SEC-P03: any characters in any composition, up to 4,096 of them."""
    assert problem_of(password, EMAIL) is None
