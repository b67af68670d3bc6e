"""The headers that say how much of a rate limit is left: one serializer for all dialects.

`x` is X-RateLimit-Limit, -Remaining and -Reset of the limit that is closest. `draft` is
RateLimit-Policy with all limits and RateLimit with the closest one, in the form of
draft-ietf-httpapi-ratelimit-headers-10. That is a draft: its names and parameters may change.
"""

from collections.abc import Iterable, Iterator

from ..cache_handlers import Decision, RateLimit
from .configuration import Dialect

QUOTA_EXCEEDED = "https://iana.org/assignments/http-problem-types#quota-exceeded"
"""The problem type of a 429, from the same draft."""

QUOTA_EXCEEDED_TITLE = "Request cannot be satisfied as assigned quota has been exceeded"

_LONGEST_NUMBER = 10**15 - 1  # of an integer in structured fields, RFC 9651


def limit_headers(
    decision: Decision, policies: Iterable[RateLimit], dialect: Dialect
) -> Iterator[tuple[str, str]]:
    """The headers of a response to a request that was decided by these limits."""
    if dialect in {"x", "both"}:
        yield "X-RateLimit-Limit", str(decision.limit)
        yield "X-RateLimit-Remaining", str(decision.remaining)
        yield "X-RateLimit-Reset", str(decision.reset_after)
    if dialect in {"draft", "both"}:
        closest = policy_name(decision.rate_limit, decision.window)
        quotas = {policy_name(one.name, one.window): (one.limit, one.window) for one in policies}
        quotas.setdefault(closest, (decision.limit, decision.window))  # not by @portal.limit
        items = (_item(name, q=limit, w=window) for name, (limit, window) in quotas.items())
        yield "RateLimit-Policy", ", ".join(items)
        yield (
            "RateLimit",
            _item(
                closest,
                r=decision.remaining,
                t=decision.more_after,
            ),
        )


def policy_name(name: str, window: int) -> str:
    """The name of a limit in these headers. A route may have limits of one name and two windows."""
    return f"{name}/{window}"


def _item(name: str, **parameters: int) -> str:
    """A string with parameters, as a structured field. What a string cannot hold becomes `_`."""
    text = "".join(char if " " <= char <= "~" and char not in '"\\' else "_" for char in name)
    ending = "".join(f";{key}={min(value, _LONGEST_NUMBER)}" for key, value in parameters.items())
    return f'"{text}"{ending}'
