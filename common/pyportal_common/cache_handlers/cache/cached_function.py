"""Functions whose results are cached."""

from collections.abc import Callable
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
        get_or_load: Callable[[str, Callable[[], T]], Any],
        invalidate: Callable[[str], int],
    ) -> None:
        update_wrapper(self, function)
        self._function = function
        self._key = key
        self._get_or_load = get_or_load
        self._invalidate = invalidate

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> T:
        """The cached result, or what the function returns."""
        value: T = self._get_or_load(
            self._key(*args, **kwargs), lambda: self._function(*args, **kwargs)
        )
        return value

    def invalidate(self, *args: P.args, **kwargs: P.kwargs) -> int:
        """Remove the cached result for these arguments. See Cache.invalidate."""
        return self._invalidate(self._key(*args, **kwargs))
