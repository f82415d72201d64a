"""Which passwords an account may have (NIST SP 800-63B-4 §3.1.1, OWASP Password Storage).

Length is what counts: 8 to 4,096 characters of any kind, no rules of composition, nothing cut off. Refused is what an
attacker tries first, which the block list describes by three rules instead of a file of a million lines:

- a common word, or two, also with digits and signs around and the usual substitutions within (``P@ssw0rd2026!``);
- a run along the alphabet, the digits or a keyboard row, forwards or backwards, or a short piece repeated;
- the address of the account itself, or the part of it before the ``@``.

The rules look at short ASCII passwords only: beyond 20 characters a password is a phrase, and guessing has ended.

Rejected: a file of leaked passwords (a thousandfold of the service's size, old the day it ships; a company that wants
one asks a service for it), strength meters (they score composition).
"""

from __future__ import annotations

import re
from typing import Final

__all__ = ["MAX_PASSWORD_CHARACTERS", "MIN_PASSWORD_CHARACTERS", "problem_of"]

MIN_PASSWORD_CHARACTERS: Final = 8
MAX_PASSWORD_CHARACTERS: Final = 4096
"""Refused before hashing: a longer one would only cost memory."""

MAX_LISTED_CHARACTERS: Final = 20
MIN_RUN_CHARACTERS: Final = 6

_COMMON: Final = frozenset(
    """
    aaaa abcd access account admin administrator alexander amanda america andrea andrew angel anthony apple
    april arsenal asdf asdfghjkl ashley august austin autumn awesome bailey banana baseball basketball batman
    beautiful benjamin biteme blink blue boomer brandon bubbles buster butterfly calvin canada changeme charles
    charlie cheese chelsea chicken chocolate christian christmas company computer cookie corvette cowboys dallas
    daniel database december default diamond dolphin dragon eagles elephant elizabeth emmanuel enter everton
    facebook falcon family february ferrari flower football forever forgot freedom friday friend friends
    gandalf garfield george ginger google guest guitar hammer hannah harley hello hellokitty helloworld hockey
    hunter iceman iloveyou internet iphone jackson january jasmine jennifer jessica jesus jordan joseph joshua
    july june justin killer kitten ladybug lakers letmein letmeinnow linkedin liverpool login london lovely
    loveme maggie manchester march marina martin master matrix matthew maverick melissa mercedes merlin michael
    michelle microsoft midnight minecraft monday money monkey monster mother mustang natasha nicholas nicole
    nintendo november october orange pass passphrase passw password passwords peanut pepper phoenix player
    please pokemon princess private purple qazwsx qazwsxedc qwer qwert qwerty qwertyuiop qwertz raiders rainbow ranger
    rangers rebecca redsox robert rocket root samantha samsung saturday scooter secret security september
    service shadow silver slipknot snoopy soccer spiderman spring starwars steelers stephanie success summer
    sunday sunflower sunshine superman superstar sweety sysadmin system taylor tennis test tester testing thomas
    thunder thursday tigger tinkerbell toor trustno trustnoone tuesday twitter unknown user username vanessa
    victoria vincent wednesday welcome whatever william windows winner winter wizard xbox yamaha yankees yellow
    zaq zxcv zxcvb zxcvbnm
    """.split()  # noqa: SIM905  (a list would take ten times the lines)
)
_RUNS: Final = (
    "abcdefghijklmnopqrstuvwxyz",
    "01234567890123456789",
    "qwertyuiopasdfghjklzxcvbnm",
    "qwertzuiopasdfghjklyxcvbnm",
    "azertyuiopqsdfghjklmwxcvbn",
    "1qaz2wsx3edc4rfv5tgb6yhn7ujm",
    "1q2w3e4r5t6y7u8i9o0p",
)
_SUBSTITUTIONS: Final = str.maketrans("@430!1$57", "aaeoiisst")
_REPEATED: Final = re.compile(r"(.{1,4}?)\1+")


def problem_of(password: str, email: str) -> str | None:
    """What is wrong with a new password, in words for its owner; None when nothing is."""
    if len(password) < MIN_PASSWORD_CHARACTERS:
        return f"A password has at least {MIN_PASSWORD_CHARACTERS} characters"
    if len(password) > MAX_PASSWORD_CHARACTERS:
        return f"A password has at most {MAX_PASSWORD_CHARACTERS} characters"
    lowered = password.lower()
    if lowered in (email, email.partition("@")[0]):
        return "The password is the address"
    if len(password) <= MAX_LISTED_CHARACTERS and password.isascii() and _is_common(lowered):
        return "This is one of the passwords that are tried first"
    return None


def _is_common(password: str) -> bool:
    word = re.sub(r"^[^a-z]+|[^a-z]+$", "", password)
    return _is_pattern(password) or _is_word(word) or _is_word(word.translate(_SUBSTITUTIONS))


def _is_word(word: str) -> bool:
    return word in _COMMON or any(word[:cut] in _COMMON and word[cut:] in _COMMON for cut in range(4, len(word) - 3))


def _is_pattern(password: str) -> bool:
    keys = re.sub(r"[^a-z0-9]", "", password)
    is_run = len(keys) >= MIN_RUN_CHARACTERS and any(keys in run or keys[::-1] in run for run in _RUNS)
    return is_run or _REPEATED.fullmatch(password) is not None
