"""The throttle's rules, case by case (SEC-P05)."""

import pytest

from auth.domain.throttle import Count, Keys, Verdict, judge, network_of, registration_key

KEYS = Keys.of("192.0.2.1", "a@example.com")
LIMIT = 10


def verdict(network: int = 0, account: int = 0, pair: int = 0, leaves_in_s: float = 12.3) -> Verdict:
    counts = dict(zip(KEYS.all(), (Count(number, leaves_in_s) for number in (network, account, pair)), strict=True))
    return judge({key: count for key, count in counts.items() if count.attempts}, KEYS, LIMIT)


@pytest.mark.parametrize(
    ("network", "account", "pair", "allowed", "under_attack"),
    [
        (0, 0, 0, True, False),
        (9, 9, 9, True, False),
        (10, 0, 0, False, False),  # a machine that tries many accounts
        (10, 10, 10, False, True),  # a machine that tries one account
        (1, 10, 1, False, True),  # many machines try one account: each has had its guess
        (0, 10, 0, True, True),  # the owner, or the first guess of another machine
        (5, 10, 0, True, True),  # the owner's network, with others' mistakes on their own accounts
        (0, 500, 0, True, True),
    ],
)
def test_who_may_try(network: int, account: int, pair: int, allowed: bool, under_attack: bool) -> None:
    """SEC-P05: ten failures a minute for a network and for an account; an owner elsewhere is not locked out."""
    found = verdict(network, account, pair)
    assert (allowed, under_attack) == (found.allowed, found.under_attack)


def test_retry_after_is_when_the_oldest_failure_is_forgotten() -> None:
    """Whole seconds, rounded up, at least one."""
    assert 13 == verdict(network=10).retry_after_s
    assert 13 == verdict(account=10, pair=1).retry_after_s
    assert 1 == verdict(network=10, leaves_in_s=0.01).retry_after_s
    assert 1 == verdict(network=10, leaves_in_s=-0.5).retry_after_s


@pytest.mark.parametrize(
    ("client_ip", "expected"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::", "2001:db8:1:2::/64"),
        ("2001:db8:1:3::", "2001:db8:1:3::/64"),
        ("", "unknown"),
        ("unix:", "unknown"),
    ],
)
def test_networks(client_ip: str, expected: str) -> None:
    """An IPv6 client owns a /64, so that is what is counted."""
    assert expected == network_of(client_ip)


def test_keys_are_apart() -> None:
    """The same text in two roles, or shifted between the parts of a pair, is two keys; keys show no address."""
    assert KEYS == Keys.of("192.0.2.1", "a@example.com")
    others = [Keys.of("192.0.2.2", "a@example.com"), Keys.of("192.0.2.1", "b@example.com"), Keys.of("", "unknown")]
    keys = {*KEYS.all(), registration_key("192.0.2.1"), *(key for other in others for key in other.all())}
    assert len({key for key in keys if len(key) == 16}) == len(keys) == 3 + 1 + 2 + 2 + 3
    assert KEYS.network == others[1].network
    assert KEYS.account == others[0].account
    assert b"example" not in b"".join(keys)
