"""The forms and filters of pages: urlencoded, bounded, and valid for a model."""

from collections import defaultdict
from collections.abc import Iterable
from typing import TypeVar, get_origin
from urllib.parse import parse_qsl

from flask import request
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ..problem_types import CommonProblem
from ..problems import Detail, Problem
from ..requests import invalid, read_body

_MAX_BYTES = 64 * 1024  # a thousand ids
_MAX_FIELDS = 1100
_FORM = "application/x-www-form-urlencoded"


class Filter(BaseModel):
    """Base of the query of a page. Empty fields of a form count as not given."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class PageFilter(Filter):
    """Base of the query of a list."""

    cursor: str | None = Field(None, pattern="^[0-9]{1,18}$")


_M = TypeVar("_M", bound=Filter)


def read_form(model: type[_M]) -> _M:
    """The form in the body of the request. Raises Problem: 400, 413, 415 or 422."""
    return _validated(model, read_pairs(), "body")


def read_filter(model: type[_M]) -> _M:
    """The query of the request. Raises Problem: 422."""
    return _validated(model, request.args.items(multi=True), "query")


def read_pairs() -> list[tuple[str, str]]:
    """The fields of the form in the body of the request. Raises Problem: 400, 413 or 415."""
    if request.mimetype != _FORM:
        raise Problem(CommonProblem.UNSUPPORTED_MEDIA_TYPE)
    try:
        text = read_body(_MAX_BYTES).decode("ascii")
        return parse_qsl(
            text,
            keep_blank_values=True,
            strict_parsing=bool(text),
            errors="strict",
            max_num_fields=_MAX_FIELDS,
        )
    except ValueError:
        raise Problem(CommonProblem.MALFORMED_BODY, [Detail("body", "Not a form")]) from None


def _validated(model: type[_M], pairs: Iterable[tuple[str, str]], whole: str) -> _M:
    given = defaultdict[str, list[str]](list)
    for name, value in pairs:
        if value:
            given[name].append(value)
    try:
        return model.model_validate(
            {name: _value_of(model, name, values) for name, values in given.items()}
        )
    except ValidationError as error:
        raise invalid(error, whole=whole) from None


def _value_of(model: type[_M], name: str, values: list[str]) -> object:
    found = model.model_fields.get(name)
    if found is not None and get_origin(found.annotation) is tuple:
        return values
    if len(values) > 1:
        detail = Detail(name[:100], "Given more than once")
        raise Problem(CommonProblem.VALIDATION_FAILED, [detail])
    return values[0]
