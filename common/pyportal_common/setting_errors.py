"""What is wrong with a variable: "REDIS_PORT: must be an integer from 1 to 65535, not 'x'"."""

from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings

_MAX_SHOWN = 40  # characters of a value
_PATTERNS = {"^https?://": "a URL that begins with http:// or https://"}


def explain(settings: type[BaseSettings], error: ValidationError) -> str:
    """All faults in one line. Values are shown only where they cannot contain a password."""
    return "; ".join(_explain(settings, dict(fault)) for fault in error.errors(include_url=False))


def _explain(settings: type[BaseSettings], fault: dict[str, Any]) -> str:
    if not fault["loc"]:  # of several variables together: the message names them
        return str(fault["msg"]).removeprefix("Value error, ")
    name = str(fault["loc"][0])
    field = settings.model_fields[name]
    kind = _kind(field)
    variable = f"{settings.model_config.get('env_prefix', '')}{name}".upper()
    accepted = field.description or _accepted(kind, field)
    if fault["type"] == "value_error" or accepted is None:
        return f"{variable}: {fault['msg'].removeprefix('Value error, ')}"
    return f"{variable}: must be {accepted}{_shown(kind, fault['input'])}"


def _kind(field: FieldInfo) -> Any:
    """The type of the field, without None."""
    if get_origin(field.annotation) not in {Union, UnionType}:
        return field.annotation
    return next(kind for kind in get_args(field.annotation) if kind is not type(None))


def _accepted(kind: Any, field: FieldInfo) -> str | None:
    if kind is int:
        return f"an integer{_range(field)}"
    if kind is float:
        return f"a number{_range(field)}"
    if kind is bool:
        return "true or false"
    if get_origin(kind) is Literal:
        return " or ".join(map(repr, get_args(kind)))
    return _PATTERNS.get(_constraints(field).get("pattern", ""))


def _range(field: FieldInfo) -> str:
    bounds = _constraints(field)
    if "ge" in bounds and "le" in bounds:
        return f" from {bounds['ge']} to {bounds['le']}"
    words = {"gt": "above", "ge": "at least", "lt": "below", "le": "at most"}
    found = " and ".join(f"{word} {bounds[name]}" for name, word in words.items() if name in bounds)
    return f" of {found}" if found.startswith("at ") else f" {found}".rstrip()


def _constraints(field: FieldInfo) -> dict[str, Any]:
    names = ("gt", "ge", "lt", "le", "pattern")
    return {
        name: getattr(constraint, name)
        for constraint in field.metadata
        for name in names
        if getattr(constraint, name, None) is not None
    }


def _shown(kind: Any, value: object) -> str:
    text = str(value)
    is_harmless = kind in {int, float, bool} or get_origin(kind) is Literal
    if not is_harmless or "@" in text:  # a URL with a password, in the wrong variable
        return ""
    return f", not {text[:_MAX_SHOWN]!r}"
