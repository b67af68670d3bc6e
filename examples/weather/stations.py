"""The stations: what both versions of the app ask, and count."""

_DEGREES = {"Bern": 21, "Oslo": 14, "Rome": 29}

_measured: list[str] = []


def measure(city: str, unit: str = "C") -> float | None:
    """The temperature, or None for a city without a station."""
    _measured.append(city)
    degrees = _DEGREES.get(city)
    if degrees is None or unit == "C":
        return degrees
    return degrees * 9 / 5 + 32


def report(city: str, degrees: int) -> None:
    """A station reports another temperature."""
    _DEGREES[city] = degrees


def reads() -> int:
    """How often a temperature was measured."""
    return len(_measured)
