"""Functions whose results are cached."""

from collections.abc import Callable, Iterable
from functools import update_wrapper
from typing import Any, Generic, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


class CachedFunction(Generic[P, T]):
    """A function whose results are cached. See Cache.cached."""

    def __init__(
        self,
        function: Callable[P, T],
        key: Callable[P, str],
        get_or_load: Callable[..., Any],
        invalidate: Callable[[str], int],
        tags: Callable[P, Iterable[str]] | None = None,
    ) -> None:
        update_wrapper(self, function)
        self._function = function
        self._key = key
        self._get_or_load = get_or_load
        self._invalidate = invalidate
        self._tags = tags

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> T:
        """The cached result, or what the function returns."""
        tags = None if self._tags is None else self._tags(*args, **kwargs)
        value: T = self._get_or_load(
            self._key(*args, **kwargs), lambda: self._function(*args, **kwargs), tags=tags
        )
        return value

    def invalidate(self, *args: P.args, **kwargs: P.kwargs) -> int:
        """Remove the cached result for these arguments. See Cache.invalidate."""
        return self._invalidate(self._key(*args, **kwargs))
