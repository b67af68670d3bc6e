"""What Redis holds at a key of a cache, and what the next read does. Never the value itself."""

from dataclasses import dataclass

from ..cache_handlers import Policy


@dataclass(frozen=True, slots=True)
class CachedValueView:
    """What Redis holds at a key, without the value. Times are seconds.

    One that is not `is_usable` is a miss for readers: it is of another type, or of a form that
    this release does not read. `is_fenced`: a writer is about to change it.
    """

    key: str
    bytes: int | None
    ttl_seconds: float | None
    is_being_loaded: bool
    is_fenced: bool
    is_usable: bool
    is_stale: bool
    next_read: str

    @property
    def count(self) -> int:
        """1 if there is a value, else 0."""
        return int(self.bytes is not None)


@dataclass(frozen=True, slots=True)
class Stored:
    """A key as it was read: its text, None for another type, and its ms left, -2 without a key."""

    text: str | None
    left_ms: int
    is_leased: bool
    is_fenced: bool

    def view(
        self, key: str, policy: Policy | None, *, distrust: str | None, refusal: str | None
    ) -> CachedValueView:
        """The view of it.

        `distrust` is what the next read does if readers do not use what is stored. `refusal` is
        why Redis stores no new value, if so.
        """
        is_usable = self.text is not None and _fits(self.text, policy)
        is_stale = is_usable and policy is not None and self.left_ms <= policy.stale_for * 1000
        return CachedValueView(
            key,
            None if self.text is None else len(self.text.encode("utf-8", "surrogateescape")),
            self.left_ms / 1000 if self.left_ms >= 0 else None,
            self.is_leased,
            self.is_fenced,
            is_usable,
            is_stale,
            distrust or _hit(is_usable, is_stale) or self._miss(policy, refusal),
        )

    def _miss(self, policy: Policy | None, refusal: str | None) -> str:
        """What a read does without a usable value, in the order of miss.lua."""
        if refusal is not None:
            return f"loads it from SQL and caches nothing: {refusal}"
        if self.is_fenced:
            return "loads it from SQL and caches nothing: a writer is about to change it"
        if self.is_leased:
            wait = "" if policy is None else f" for {policy.wait:g} s at most"
            return f"waits{wait}: another reader loads it from SQL now, or has just failed to"
        if self.text is not None:
            return "loads it from SQL and replaces the value: this release cannot read it"
        if self.left_ms != _NO_KEY:
            return "loads it from SQL and replaces the key: it has another type"
        return "loads it from SQL and caches it: no value is cached"


_NO_KEY = -2


def _hit(is_usable: bool, is_stale: bool) -> str | None:
    if is_stale:
        return "returns the cached value, which is stale, and has it refreshed from SQL"
    if is_usable:
        return "returns the cached value; the last reads before it expires refresh it from SQL"
    return None


def _fits(text: str, policy: Policy | None) -> bool:
    if policy is None:
        return True
    try:
        policy.shape.decode(text)
    except ValueError:
        return False
    return True
