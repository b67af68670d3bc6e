"""Lists of operations as responses."""

from collections.abc import Iterable
from typing import Annotated, Any

from flask import Response
from pydantic import BeforeValidator

from ...db import Page as Found
from ...web import Page, View, respond, with_next_link


def _encodable(value: Any) -> Any:
    """Text from Redis may contain bytes that are not UTF-8."""
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode("utf-8")
    return value


Text = Annotated[str, BeforeValidator(_encodable)]
"""Text that others may have written, with \\udc.. for what is not Unicode."""


def respond_found(view: type[View], page: Found[Any]) -> Response:
    """A page of a list."""
    items = [view.model_validate(each) for each in page.items]
    body = Page[view](items=items, next=page.next)  # type: ignore[valid-type]  # a model
    return with_next_link(respond(body), page.next)


def respond_all(view: type[View], items: Iterable[Any]) -> Response:
    """A list without pages."""
    return respond_found(view, Found(list(items)))
