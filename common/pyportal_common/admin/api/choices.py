"""Fields of bodies and queries whose values are those of a service."""

from collections.abc import Sequence
from typing import Any, Literal, get_origin

from pydantic import create_model

from ...web import Schema


def narrowed(model: type[Schema], **choices: Sequence[str]) -> type[Schema]:
    """The model, whose fields of these names accept only these texts, or lists of them."""
    fields: dict[str, Any] = {}
    for name, values in choices.items():
        field = model.model_fields[name]
        one: Any = Literal[tuple(dict.fromkeys(values))]
        is_list = get_origin(field.annotation) is list
        fields[name] = (list[one] if is_list else one | None, field)
    return create_model(model.__name__, __base__=model, __doc__=model.__doc__, **fields)
