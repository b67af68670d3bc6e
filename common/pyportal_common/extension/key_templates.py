"""Templates of keys and tags, as in "forecast:{city}", checked when they are defined."""

import inspect
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from string import Formatter
from typing import Any
from uuid import UUID

from ..cache_handlers import keys

_RESERVED = {
    kind.example.rpartition(":")[0].partition("{")[0].rstrip(":")
    for kind in keys.KINDS
    if kind.service is None
}
_UNSAFE = set(" %{}:\t\r\n")


class InvalidKey(ValueError):
    """A template is not one of a key or a tag, or names what its function does not have."""


def key_of(template: str, function: Callable[..., Any]) -> Callable[..., str]:
    """A function that makes the key from the arguments of `function`. Raises InvalidKey."""
    kind, texts, names = _parse(template)
    signature = inspect.signature(function)
    _check_names(template, names, function, signature.parameters)
    return partial(_key, signature, kind, texts, names)


def tags_of(
    templates: Iterable[str], function: Callable[..., Any]
) -> Callable[..., tuple[str, ...]]:
    """A function that makes tags from the arguments of `function`. Raises InvalidKey.

    Values are not encoded, so that a tag is the text that `invalidate_tag` gets. Other values may
    make the same tag; one invalidation too many is the only effect.
    """
    signature = inspect.signature(function)
    names: set[str] = set()
    for template in templates:
        if not template:
            raise _invalid(template, "a tag must not be empty")
        found = [name for _, name in _parts(template) if name is not None]
        _check_names(template, found, function, signature.parameters)
        names.update(found)
    return partial(_tags, signature, tuple(templates), frozenset(names))


def _check_names(
    template: str,
    names: Iterable[str],
    function: Callable[..., Any],
    parameters: Mapping[str, inspect.Parameter],
) -> None:
    for name in names:
        if name not in parameters:
            known = ", ".join(parameters) or "none"
            raise _invalid(
                template, f"{_name(function)} has no parameter {name!r}; it has: {known}"
            )
        if parameters[name].kind in {
            inspect.Parameter.VAR_POSITIONAL,
            inspect.Parameter.VAR_KEYWORD,
        }:
            raise _invalid(template, f"{name!r} stands for any number of arguments")


def _key(
    signature: inspect.Signature,
    kind: str,
    texts: tuple[str, ...],
    names: tuple[str, ...],
    /,
    *args: Any,
    **kwargs: Any,
) -> str:
    values = _bound(signature, args, kwargs)
    return keys.composed(kind, texts, tuple(_text(name, values[name]) for name in names))


def _tags(
    signature: inspect.Signature,
    templates: tuple[str, ...],
    names: frozenset[str],
    /,
    *args: Any,
    **kwargs: Any,
) -> tuple[str, ...]:
    values = _bound(signature, args, kwargs)
    texts = {name: _text(name, values[name]) for name in names}
    return tuple(template.format_map(texts) for template in templates)


def _bound(
    signature: inspect.Signature, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> dict[str, Any]:
    bound = signature.bind(*args, **kwargs)
    bound.apply_defaults()
    return bound.arguments


def _text(name: str, value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int | UUID):
        raise TypeError(
            f"{name}: a part of a key or a tag is a str, an int or a UUID, not a"
            f" {type(value).__name__}; "
            "for others, use a function that returns it"
        )
    return str(value)


def _parts(template: str) -> list[tuple[str, str | None]]:
    """The texts, each with the name of the value that follows it, if one does."""
    try:
        parts = list(Formatter().parse(template))
    except ValueError as error:
        raise _invalid(template, str(error)) from None
    for _, name, spec, conversion in parts:
        if name is not None and (spec or conversion or not name.isidentifier()):
            raise _invalid(template, f"write {{name}} only, not {{{name}…}}")
    return [(text, name) for text, name, *_ in parts]


def _parse(template: str) -> tuple[str, tuple[str, ...], tuple[str, ...]]:
    """The kind, the texts around the values, and the names of the values."""
    parts = _parts(template)
    names = [name for _, name in parts if name is not None]
    texts = [text for text, _ in parts]
    if len(texts) == len(names):
        texts.append("")
    kind, colon, texts[0] = texts[0].rpartition(":")
    if not (kind and colon):
        raise _invalid(template, 'begin with a kind and a colon, as in "forecast:{city}"')
    if kind in _RESERVED or kind.partition(":")[0] in {"lease", "fence"}:
        raise _invalid(template, f"the Redis layer itself uses {kind!r}")
    _check_texts(template, kind, texts)
    return kind, tuple(texts), tuple(names)


def _check_texts(template: str, kind: str, texts: list[str]) -> None:
    if _UNSAFE & set("".join(texts)):
        raise _invalid(
            template, "separate values by /, not by a colon, a blank, a percent or braces"
        )
    if _UNSAFE - {":"} & set(kind):
        raise _invalid(template, "a kind has no blank, percent or brace")
    if not all(text and text[0] in keys.SEPARATORS for text in texts[1:-1]):
        raise _invalid(template, f"separate values by one of {keys.SEPARATORS}")


def _invalid(template: str, reason: str) -> InvalidKey:
    return InvalidKey(f"the template {template!r}: {reason}")


def _name(function: Callable[..., Any]) -> str:
    return getattr(function, "__qualname__", repr(function))
