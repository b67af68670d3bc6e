"""The forms of the front: their fields, and what is wrong with each."""

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

from flask import g, request
from pydantic import ValidationError

from ..problem_types import CommonProblem
from ..problems import Problem
from ..requests import Schema, invalid
from .forms import read_pairs

KEY = "key"  # the field with the idempotency key of a form

_SECRET = ("password", "token", "code", "passkey", "credential")
_S = TypeVar("_S", bound=Schema)


@dataclass(frozen=True, slots=True)
class Given:
    """What a form was sent with, and what is wrong with it, for the page that shows it again."""

    fields: Mapping[str, Sequence[str]] = field(default_factory=dict)
    message: str = ""
    faults: Mapping[str, str] = field(default_factory=dict)
    """What is wrong with a field of the form."""
    other_faults: Sequence[str] = ()

    @classmethod
    def read(cls) -> "Given":
        """The fields of the form in the body. Raises Problem: 400, 413 or 415."""
        fields: dict[str, list[str]] = {}
        for name, value in read_pairs():
            fields.setdefault(name, []).append(value)
        return cls(fields)

    @property
    def is_faulty(self) -> bool:
        """Whether the form was sent and not accepted."""
        return bool(self.message)

    def get(self, name: str, otherwise: object = "") -> object:
        """The value of a field as it was sent; before the form was sent, the other one."""
        return self.fields[name][0] if name in self.fields else otherwise

    def all(self, name: str) -> Sequence[str]:
        """All values of a field that may be given more than once."""
        return [each for each in self.fields.get(name, ()) if each]

    def visible(self) -> list[tuple[str, str]] | None:
        """The fields, to send them again; None if a secret is among them."""
        if any(part in name.lower() for name in self.fields for part in _SECRET):
            return None
        return [(name, value) for name, values in self.fields.items() for value in values]

    def parsed(self, model: type[_S]) -> _S:
        """The form without its empty fields, as the body of a request. Raises Problem: 422."""
        single = {name: values[0] for name, values in self.fields.items() if values[0]}
        single.pop(KEY, None)
        return _validated(model, single)

    def refused(self, problem: Problem, text: str) -> "Given":
        """The same with a problem, at the fields that its details name."""
        faults = {each.field: each.message for each in problem.details}
        others = [text for name, text in faults.items() if name not in self.fields]
        is_named = problem.kind is CommonProblem.VALIDATION_FAILED
        message = "Please correct the form." if is_named else text
        return Given(self.fields, message, faults, others)


def given() -> Given:
    """The form of the current request."""
    found: Given = g.get("given") or Given()
    return found


def read_query(model: type[_S], *, upper: Container[str] = ()) -> _S:
    """The query of the request, as the API reads it. Empty fields count as not given.

    The values of the fields in `upper` may be in lower case. If something is wrong, the query is
    an empty one, and the page shows what is wrong.
    """
    fields = {
        name: value.upper() if name in upper else value
        for name, value in request.args.items()
        if value
    }
    try:
        return _validated(model, fields)
    except Problem as problem:
        sent = Given({name: [value] for name, value in fields.items()})
        refused = sent.refused(problem, problem.kind.text)
        named = [f"{name}: {text}" for name, text in refused.faults.items()]  # some have no field
        g.given = replace(refused, message="Please correct the search.", other_faults=named)
        return model()


def _validated(model: type[_S], fields: Mapping[str, str]) -> _S:
    try:
        return model.model_validate_strings(fields)
    except ValidationError as error:
        raise invalid(error) from None
