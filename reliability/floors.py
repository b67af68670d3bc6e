"""What a read may return at the least, by the moment at which it begins."""

from bisect import bisect_left
from collections.abc import Iterable


class Floors:
    """The oldest number that a read may return, by the moment at which it begins."""

    def __init__(self, points: Iterable[tuple[int, int]]) -> None:
        self._moments: list[int] = []
        self._numbers: list[int] = []
        highest = -1
        for moment, number in sorted(points):
            if number > highest:
                highest = number
                self._moments.append(moment)
                self._numbers.append(number)

    def at(self, moment: int) -> int:
        """The number; -1 if there is none yet."""
        before = bisect_left(self._moments, moment)
        return self._numbers[before - 1] if before else -1
