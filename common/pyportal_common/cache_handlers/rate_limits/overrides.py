"""Rates that replace the declared ones while an app runs."""

from collections.abc import Mapping
from types import MappingProxyType

from ...settings import Settings
from .policy import Charge, RateLimit

Overrides = Mapping[tuple[str, str], RateLimit]
"""Limits by name and role; the role is empty in those of everybody."""

NO_OVERRIDES: Overrides = MappingProxyType({})


def declared_in(settings: Settings) -> dict[str, RateLimit]:
    """The rate limits among the settings, by name."""
    values = (getattr(settings, field) for field in type(settings).model_fields)
    return {value.name: value for value in values if isinstance(value, RateLimit)}


def in_force(overrides: Overrides, charge: Charge, role: str) -> Charge:
    """The charge with the rate for this role, else with that for everybody, else as declared.

    An override applies to the limit that it was made from, which has the same field, and not to
    another of that name. A cost is at most the limit, as otherwise nobody could ever pay it.
    """
    limit = charge.rate_limit
    found = overrides.get((limit.name, role)) or overrides.get((limit.name, ""))
    if found is None or found.field != limit.field:
        return charge
    return Charge(found, charge.identifier, min(charge.cost, found.limit))
