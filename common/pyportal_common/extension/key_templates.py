"""Templates of keys, as in "forecast:{city}", checked when they are defined."""

import inspect
from collections.abc import Callable
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
    """A template is not one of a key, or names what its function does not have."""


def key_of(template: str, function: Callable[..., Any]) -> Callable[..., str]:
    """A function that makes the key from the arguments of `function`. Raises InvalidKey."""
    kind, texts, names = _parse(template)
    signature = inspect.signature(function)
    parameters = signature.parameters
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
    return partial(_key, signature, kind, texts, names)


def _key(
    signature: inspect.Signature,
    kind: str,
    texts: tuple[str, ...],
    names: tuple[str, ...],
    /,
    *args: Any,
    **kwargs: Any,
) -> str:
    bound = signature.bind(*args, **kwargs)
    bound.apply_defaults()
    return keys.composed(kind, texts, tuple(_text(name, bound.arguments[name]) for name in names))


def _text(name: str, value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int | UUID):
        raise TypeError(
            f"{name}: a part of a key is a str, an int or a UUID, not {type(value).__name__}; "
            "for others, use a function that returns the key"
        )
    return str(value)


def _parse(template: str) -> tuple[str, tuple[str, ...], tuple[str, ...]]:
    """The kind, the texts around the values, and the names of the values."""
    try:
        parts = list(Formatter().parse(template))
    except ValueError as error:
        raise _invalid(template, str(error)) from None
    kind, colon, first = (parts[0][0] if parts else "").rpartition(":")
    texts, names = [first], []
    for number, (text, name, spec, conversion) in enumerate(parts):
        if number > 0:
            texts.append(text)
        if name is not None:
            names.append(name)
            if spec or conversion or not name.isidentifier():
                raise _invalid(template, f"write {{name}} only, not {{{name}…}}")
    if len(texts) == len(names):
        texts.append("")
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
    return InvalidKey(f"the key {template!r}: {reason}")


def _name(function: Callable[..., Any]) -> str:
    return getattr(function, "__qualname__", repr(function))
