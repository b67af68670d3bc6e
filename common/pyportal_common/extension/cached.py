"""`@portal.cached`: functions whose results are cached by the current app."""

import inspect
from collections.abc import Callable, Iterable
from contextlib import nullcontext
from dataclasses import replace
from functools import partial, update_wrapper
from typing import Any, ParamSpec, Protocol, TypeVar, overload

from flask import has_app_context
from werkzeug.exceptions import HTTPException

from ..cache_handlers import Bytes, CachedFunction, Policy
from .key_templates import key_of, tags_of
from .limits import LIMITED
from .state import AppState, current_state

P = ParamSpec("P")
T = TypeVar("T")
Q = ParamSpec("Q")
R = TypeVar("R", covariant=True)
Owner = TypeVar("Owner")
First = TypeVar("First", contravariant=True)
B = TypeVar("B", bound=bytes | None)

Tags = Iterable[str] | Callable[..., Iterable[str]]

_SCALARS = {str, int, float, bool, type(None)}


class _Takes(Protocol[First, Q, R]):
    """A function with a first argument. Unlike with Concatenate, mypy checks the type of that."""

    def __call__(self, first: First, /, *args: Q.args, **kwargs: Q.kwargs) -> R:
        """Call it."""
        ...


class Cached(CachedFunction[P, T]):
    """A function, or a method, whose results are cached. See Portal.cached."""

    __name__: str

    def __init__(
        self,
        function: Callable[P, T],
        key: Callable[..., str],
        policy: Policy,
        unless: Callable[..., bool] | None,
        tags: Callable[..., Iterable[str]] | None,
        own_tag: str,
    ) -> None:
        super().__init__(function, key, partial(_get_or_load, policy, own_tag), _invalidate, tags)
        self._policy = policy
        self._unless = unless
        self._own_tag = own_tag

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> T:
        """The cached result, or what the function returns."""
        if self._unless is not None and self._unless(*args, **kwargs):
            return self._function(*args, **kwargs)
        return super().__call__(*args, **kwargs)

    @property
    def uncached(self) -> Callable[P, T]:
        """The function itself."""
        return self._function

    def key(self, *args: P.args, **kwargs: P.kwargs) -> str:
        """The key of the result for these arguments, as `CachedRow.cache_keys` names it."""
        return self._key(*args, **kwargs)

    def refresh(self, *args: P.args, **kwargs: P.kwargs) -> T:
        """Replace the cached result for these arguments, and return the new one.

        Raises RedisUnavailable in an outage: the old one may remain. Calls that began before are
        not waited for, and cannot store an older result.
        """
        self.invalidate(*args, **kwargs)
        return super().__call__(*args, **kwargs)

    def clear(self) -> None:
        """Invalidate the cached results of all arguments, of a function that has tags.

        One round trip. Raises RedisUnavailable in an outage, and TypeError for a function that was
        cached without `tags`; an empty list is enough.
        """
        if self._tags is None:
            raise TypeError(f"{self.__name__} cannot be cleared: cache it with tags=[] or more")
        current_state().cache.invalidate_tag(self._own_tag)

    @overload  # a class method
    def __get__(
        self: "_Takes[type[Owner], Q, R]", instance: object, owner: type[Owner]
    ) -> "Cached[Q, R]": ...

    @overload
    def __get__(self, instance: None, owner: type) -> "Cached[P, T]": ...

    @overload
    def __get__(self: "_Takes[Owner, Q, R]", instance: Owner, owner: type) -> "Cached[Q, R]": ...

    @overload  # a static method, which type checkers bind as others
    def __get__(self, instance: object, owner: type) -> "Cached[P, T]": ...

    def __get__(self, instance: Any, owner: type) -> Any:
        """The method of an instance, as functions have it."""
        if instance is None:
            return self
        function, key = partial(self._function, instance), partial(self._key, instance)
        unless = None if self._unless is None else partial(self._unless, instance)
        tags = None if self._tags is None else partial(self._tags, instance)
        bound = Cached(function, key, self._policy, unless, tags, self._own_tag)
        update_wrapper(bound, self._function, updated=())
        vars(bound)["__wrapped__"] = function
        return bound


def cached_function(
    function: Callable[P, T],
    key: str | Callable[..., str],
    policy: Policy,
    unless: Callable[..., bool] | None,
    tags: Tags | None,
) -> Cached[P, T]:
    """The function with a cache. Raises InvalidKey and TypeError, as Portal.cached does."""
    name = getattr(function, "__qualname__", repr(function))
    if isinstance(function, staticmethod | classmethod):
        raise TypeError(f"{name}: put @portal.cached below @staticmethod and @classmethod")
    if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
        raise TypeError(f"{name} is asynchronous: cache a plain function, and call it there")
    if inspect.isgeneratorfunction(function):
        raise TypeError(f"{name} is a generator: cache a function that returns a list")
    if hasattr(function, LIMITED):
        raise TypeError(f"{name}: put @portal.limit above @portal.cached, so that hits count")
    make_key = key if callable(key) else key_of(key, function)
    make_tags = tags if callable(tags) or tags is None else tags_of(_several(tags), function)
    # Functions with one template have the same entries.
    own_tag = f"{function.__module__}.{name}" if callable(key) else key
    # `abort(404)` is what the app responds, and no failure that others wait after.
    policy = replace(policy, expected=(*policy.expected, HTTPException))
    return Cached(function, make_key, policy, unless, make_tags, own_tag)


def _several(tags: Iterable[str]) -> Iterable[str]:
    if isinstance(tags, str):
        raise TypeError(f"tags are several texts, as in [{tags!r}], not one")
    return list(tags)


def _get_or_load(
    policy: Policy, own_tag: str, key: str, load: Callable[[], T], tags: Iterable[str] | None
) -> Any:
    state = current_state()
    tags = () if tags is None else (own_tag, *_several(tags))
    check = policy.shape.encode if isinstance(policy.shape, Bytes) else _check
    return state.cache.get_or_load(key, lambda: _load(state, load, check), policy, tags=tags)


def _invalidate(key: str) -> int:
    return current_state().cache.invalidate(key)


def _load(state: AppState, load: Callable[[], T], check: Callable[[Any], object]) -> T:
    """Load a result, and check that it will be the same when it was cached.

    Refreshes run in other threads, which have no app context. With SQL every load has one of its
    own, and so a new `db.session`: that of the request may hold rows that were read before the last
    commit.
    """
    within = has_app_context() and state.database is None
    with nullcontext() if within else state.app.app_context():
        result = load()
    check(result)
    return result


def _check(value: object) -> None:
    """Raise TypeError for what JSON would change."""
    if isinstance(value, list):
        for each in value:
            _check(each)
    elif isinstance(value, dict):
        for name, each in value.items():
            if not isinstance(name, str):
                raise TypeError(f"a cached result has the key {name!r}, and JSON has only texts")
            _check(each)
    elif type(value) not in _SCALARS:  # a Markup, which is a str, would lose its meaning
        raise TypeError(
            f"a cached result contains a {type(value).__name__}, which JSON would change: return "
            "None, bool, int, float, str, list or dict, and make the response outside"
        )
