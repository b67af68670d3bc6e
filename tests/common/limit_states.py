"""The state of a rate limit in Redis, read and written byte by byte."""

import struct
from dataclasses import dataclass, field

from common.pyportal_common.cache_handlers import RateLimit, RedisClient, Script

Entries = list[tuple[int, int]]
"""Times in microseconds, and counts."""

HEADER_BYTES = 19
ENTRY_BYTES = 11


@dataclass
class State:
    """A state as it is stored: a header, the newest entries, and the older ones."""

    recent: Entries
    older: Entries = field(default_factory=list)
    lives_until: int = 0
    version: int = 1

    @property
    def entries(self) -> Entries:
        return self.older + self.recent

    def pack(self, **header: int) -> bytes:
        """The text of the field. `header` replaces numbers of the header by wrong ones."""
        right = {
            "used": sum(count for _, count in self.entries),
            "older": len(self.older),
            "oldest": self.entries[0][0] if self.entries else 0,
            "lives_until": self.lives_until,
        }
        used, older, oldest, lives_until = (right | header).values()
        head = struct.pack("<BIB", self.version, used, older)
        return head + _bytes(oldest, 7) + _bytes(lives_until, 6) + pack(self.recent)


def pack(entries: Entries) -> bytes:
    return b"".join(_bytes(at, 7) + struct.pack("<I", count) for at, count in entries)


def unpack(log: bytes) -> Entries:
    parts = [log[start : start + ENTRY_BYTES] for start in range(0, len(log), ENTRY_BYTES)]
    return [(int.from_bytes(one[:7], "little"), int.from_bytes(one[7:], "little")) for one in parts]


def stored(client: RedisClient, key: str, rate_limit: RateLimit) -> State | None:
    """The state in a key, after a check of its header and of the expiry of the key."""
    text, log = (octets(client.hget(key, name)) for name in fields(rate_limit))
    if not text:
        return None
    _, used, number = struct.unpack("<BIB", text[:6])
    oldest, lives_until = (int.from_bytes(each, "little") for each in (text[6:13], text[13:19]))
    state = State(unpack(text[HEADER_BYTES:]), unpack(log) if number else [], lives_until)
    counts = [count for _, count in state.entries]
    assert (used, number, oldest) == (sum(counts), len(state.older), state.entries[0][0])
    assert min(counts) > 0
    assert 1 <= len(state.recent) <= 16
    assert len(counts) <= 64
    last_ms = client.execute("PEXPIRETIME", key)
    assert last_ms >= lives_until >= state.recent[-1][0] // 1000 + rate_limit.window * 1000
    return state


def recording(script: Script) -> Script:
    """The script `window` that also pushes the server's time of each admission, in microseconds,
    to the list `admissions`.
    """
    line = "  redis.call('RPUSH', 'admissions', string.format('%.0f', now))\n"
    text = script.text.replace("\nif admitted then\n", f"\nif admitted then\n{line}")
    assert text != script.text
    return Script.of(text)


def fields(rate_limit: RateLimit) -> tuple[str, str]:
    return rate_limit.field, f"{rate_limit.field}/older"


def octets(text: str | None) -> bytes:
    return (text or "").encode("utf-8", "surrogateescape")


def _bytes(number: int, size: int) -> bytes:
    return number.to_bytes(size, "little")
