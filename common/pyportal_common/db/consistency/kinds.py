"""The kinds of cached values, and how each follows from SQL."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from ...cache_handlers import Policy, keys


def _no_tags(_: Any) -> Iterable[str]:
    return ()


@dataclass(frozen=True, slots=True)
class CacheKind:
    """A kind of cached value.

    `key` makes the key of an identifier, and `load` loads its value, as the `load` of
    `Cache.get_or_load` does. `identifier` converts the text in a key, and raises ValueError for one
    that no value has.
    """

    key: Callable[[Any], str]
    load: Callable[[Any], Any]
    policy: Policy
    identifier: Callable[[str], Any] = int
    tags: Callable[[Any], Iterable[str]] = _no_tags

    @property
    def name(self) -> str:
        """The keys without their identifiers, as in the metrics of the cache."""
        return keys.kind_of(self.key("1"))


@dataclass(frozen=True, slots=True)
class CachedValue:
    """One value of a kind. `tags` are the keys of its tags."""

    kind: CacheKind
    key: str
    identifier: Any
    tags: tuple[str, ...]

    @property
    def names(self) -> frozenset[str]:
        """The keys by any of which it is invalidated."""
        return frozenset((self.key, *self.tags))

    def load(self) -> Any:
        """The value that is committed now, as its reader would get it after a fill."""
        shape = self.kind.policy.shape
        return shape.decode(_text(shape.encode(self.kind.load(self.identifier))))

    def fits(self, stored: bytes) -> bool:
        """Whether readers use these bytes. Others are a miss to them."""
        try:
            self.parse(stored)
        except ValueError:
            return False
        return True

    def parse(self, stored: bytes) -> Any:
        """The value of these bytes. Raises ValueError."""
        return self.kind.policy.shape.decode(_text(stored))


class CacheKinds:
    """The kinds of values in one database."""

    def __init__(self, kinds: Sequence[CacheKind]) -> None:
        self._kinds = {kind.name: kind for kind in kinds}

    def value_of(self, key: str) -> CachedValue | None:
        """The value under a key. None if it is of no kind, or no reader ever asks for it."""
        kind = self._kinds.get(keys.kind_of(key))
        text = keys.identifier_in(key)
        if kind is None or text is None:
            return None
        try:
            identifier = kind.identifier(text)
        except ValueError:
            return None
        if kind.key(identifier) != key:  # such as that of 07
            return None
        return CachedValue(kind, key, identifier, tuple(map(keys.tag, kind.tags(identifier))))


def _text(stored: str | bytes) -> str:
    return stored if isinstance(stored, str) else stored.decode(errors="surrogateescape")
