"""What is wrong with a request of an operator. The messages are for people."""

from collections.abc import Iterable


class OperationRefused(Exception):
    """The request cannot be done as it is. Nothing was changed."""


class Unknown(OperationRefused):
    """There is nothing of this name here, or it is not possible for this."""

    def __init__(self, what: str, value: object, known: Iterable[str] = ()) -> None:
        names = ", ".join(known)
        super().__init__(f"no {what} {value}" + (f": choose from {names}" if names else ""))


class NotOwned(Unknown):
    """Jobs of this kind belong to no user."""

    def __init__(self, kind: str) -> None:
        super().__init__("user of", kind)


class NotFiltered(OperationRefused):
    """An act has a filter, or is on everything on purpose."""

    def __init__(self) -> None:
        super().__init__("say either which ones are meant, or that all are")
