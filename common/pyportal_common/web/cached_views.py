"""Views that services cache, and the versions of their documents."""

import hashlib
import json
from dataclasses import dataclass
from typing import Any

from ..cache_handlers import Document
from .responses import View

_NO_TYPES = {"title", "description", "examples"}


@dataclass(frozen=True, slots=True)
class CachedView:
    """A view whose documents are cached, beside the schema of the view.

    A change of the view's fields or their types needs a new `version`: documents that an earlier
    release cached are misses then. `digest` records the fields and types of this version, and a
    test of each service compares it with `current_digest`.
    """

    view: type[View]
    version: int
    digest: str

    @property
    def document(self) -> Document:
        """How it is cached."""
        names = (
            field.serialization_alias or name for name, field in self.view.model_fields.items()
        )
        return Document(self.version, frozenset(names))

    @property
    def current_digest(self) -> str:
        """The digest of the fields and types that the view has now."""
        types = _types_in(self.view.model_json_schema(mode="serialization"))
        return hashlib.sha256(json.dumps(types, sort_keys=True).encode()).hexdigest()[:16]


def _types_in(schema: Any) -> Any:
    """A JSON schema without its texts for people."""
    if isinstance(schema, list):
        return [_types_in(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        name: {field: _types_in(each) for field, each in value.items()}
        if name == "properties"
        else _types_in(value)
        for name, value in schema.items()
        if name not in _NO_TYPES
    }
