"""Tags: values that are invalidated together, by one command.

A tag has a generation in Redis, a text that was never used before. A value begins with the
generations of its tags, as they were before it was loaded, and is served only while they are
current. An invalidation deletes the generation, and the next reader creates another one. So values
need not be found, a fill that began earlier is refused, and a generation that Redis evicts is no
more than an invalidation. A crash that loses writes may bring back both, the generation and its
values, as it brings back keys.
"""

from collections.abc import Iterable, Sequence

from .. import keys


def keys_of(tags: Iterable[str]) -> tuple[str, ...]:
    """The keys of these tags. TypeError for one text in place of several."""
    if isinstance(tags, str):
        raise TypeError(f"tags are several texts, as in [{tags!r}], not one")
    return tuple(map(keys.tag, tags))


def without_generations(value: bytes | None, generations: Sequence[bytes | None]) -> bytes | None:
    """A value without the generations with which it begins, or None if these are others."""
    beginning = b""
    for generation in generations:
        if generation is None:
            return None
        beginning += generation + b";"
    if value is None or not value.startswith(beginning):
        return None
    return value[len(beginning) :]
