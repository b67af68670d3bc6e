"""The responses to the errors of operations."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from ...operations import NotFiltered, OperationRefused, Unknown
from ...web import CommonProblem, Detail, Problem, ProblemTable


@contextmanager
def refused_for(field: str) -> Iterator[None]:
    """Respond 422 about a field of the body or query to everything that is refused."""
    try:
        yield
    except OperationRefused as error:
        raise invalid(field, error) from None


def invalid(field: str, reason: object) -> Problem:
    """A 422 about a field of the body or query."""
    return all_invalid({field: reason})


def all_invalid(reasons: Mapping[str, object]) -> Problem:
    """A 422 with what is wrong, by field of the body or query."""
    texts = {field: str(reason) for field, reason in reasons.items()}
    details = [Detail(field, f"{text[:1].upper()}{text[1:]}") for field, text in texts.items()]
    return Problem(CommonProblem.VALIDATION_FAILED, details)


OPERATION_PROBLEMS: ProblemTable = {
    Unknown: lambda error: Problem(CommonProblem.NOT_FOUND, [Detail("path", str(error))]),
    NotFiltered: lambda _: invalid("all", "must be true without a filter, and false with one"),
    OperationRefused: lambda error: invalid("body", error),
}
