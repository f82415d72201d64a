"""Damage: a conversation becomes another one that no client would have, and is cut into packets anywhere."""

from __future__ import annotations

from itertools import pairwise
from random import Random

__all__ = ["mutated", "packets"]

WORDS = [
    *(
        b"\r\n",
        b"\n",
        b"\r",
        b"\0",
        b" ",
        b"\t",
        b":",
        b",",
        b";",
        b"=",
        b'"',
        b"%",
        b"%00",
        b"\xff",
        b"\xc3\x28",
        b"\r\n\r\n",
        b"0\r\n\r\n",
    ),
    *(b"-1", b"0", b"4294967296", b"18446744073709551616", b"0x10", b"+5", b"1e9"),
    *(
        b"Content-Length: 5\r\n",
        b"Transfer-Encoding: chunked\r\n",
        b"Expect: 100-continue\r\n",
        b"Connection: close\r\n",
        b"Host: b\r\n",
    ),
    *(
        b"Upgrade: websocket\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"/../",
        b"HTTP/1.0",
        b"HEAD",
    ),
    *(
        b"\x00\x00\x00\x04\x00\x00\x00\x00\x00",
        b"\x00\x00\x04\x03\x00\x00\x00\x00\x01\x00\x00\x00\x08",
        b"\x88\x80\x00\x00\x00\x00",
    ),
    *(b"\x89\xfe\x00\x7e", b"\x81\xff\x00\x00\x00\x00\x00\x01\x00\x00", b"\xc1\x85", b"\x7f" * 8, b"A" * 300),
]
MAX_CHANGES = 4


def mutated(random: Random, conversation: list[bytes], others: list[list[bytes]]) -> list[bytes]:
    """The conversation with a few changes; one in ten is left as it is, since the order of good messages matters too."""
    messages = list(conversation)
    if random.random() < 0.1:
        return messages
    for _ in range(random.randint(1, MAX_CHANGES)):
        place = random.randrange(len(messages))
        what = random.random()
        if what < 0.06:
            messages.insert(place, random.choice(random.choice(others)))
        elif what < 0.1 and len(messages) > 1:
            del messages[place]
        elif what < 0.14:
            other = random.randrange(len(messages))
            messages[place], messages[other] = messages[other], messages[place]
        else:
            messages[place] = _damaged(random, messages[place])
    return messages


def _damaged(random: Random, data: bytes) -> bytes:
    at = random.randrange(len(data) + 1)
    until = min(len(data), at + int(random.expovariate(0.2)) + 1)
    what = random.randrange(7)
    if what == 0:
        return data[:at] + data[until:]
    if what == 1:
        return data[:at] + random.choice(WORDS) + data[at:]
    if what == 2:
        return data[:at] + random.choice(WORDS) + data[until:]
    if what == 3:
        return data[:until] + data[at:]
    if what == 4:
        return data[:at]
    if what == 5:
        return data[:at] + random.randbytes(until - at) + data[until:]
    flipped = bytes(byte ^ (1 << random.randrange(8)) for byte in data[at : at + 1])
    return data[:at] + flipped + data[at + 1 :]


def packets(random: Random, conversation: list[bytes]) -> list[bytes]:
    """The bytes in packets that know nothing of messages: whole, in halves, or byte by byte where that is short."""
    data = b"".join(conversation)
    kind = random.random()
    if kind < 0.3:
        return [data]
    if kind < 0.4:
        return [message for message in conversation if message]
    count = len(data) if kind > 0.95 and len(data) < 400 else random.randint(1, 6)
    cuts = sorted({0, len(data), *(random.randrange(len(data) + 1) for _ in range(count))})
    return [data[begin:end] for begin, end in pairwise(cuts)]
