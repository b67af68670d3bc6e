"""Counts calls."""


class Counter:
    """Calling it returns how often it was called."""

    def __init__(self) -> None:
        self._calls = 0

    def __call__(self) -> int:
        self._calls += 1
        return self._calls
