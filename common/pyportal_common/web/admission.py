"""What routes declare is done in one round trip before they run: rate limits, logins and reads."""

from collections.abc import Callable, Mapping, Sequence
from typing import Literal

from flask import Request, g

from ..cache_handlers import (
    Charge,
    Charges,
    Decision,
    RateLimit,
    RedisUnavailable,
    UserId,
    ValueKey,
    hold,
    keys,
)
from ..extension import client_network
from ..extension.charging import remember
from ..extension.state import AppState
from .auth import check_requirement, required_session_id, service_of_request
from .declarations import (
    LimitSpec,
    Operation,
    ReadSpec,
    Requirement,
    Route,
    declare,
    operation_of,
)
from .problem_types import CommonProblem
from .problems import Problem, RateLimitExceeded


def rate_limit(
    name: str, *, by: Literal["address", "user"] = "address"
) -> Callable[[Route], Route]:
    """Limit a route by the `RateLimit` of that name in the service's settings.

    Counts the requests of each address, or with `by="user"` of each user; the route must then
    require a session. A request counts whatever its outcome, before its body is read. A request
    that one of the route's limits refuses counts for none of them. Over the limit: 429. Responses
    have X-RateLimit-Limit, -Remaining and -Reset (seconds until the limit is unused).

    Registering the route raises UnknownRateLimit if the settings do not define the limit, and
    UserLimitWithoutLogin if it counts users and the route does not require a session.
    """
    return lambda view: declare(view, limits=(*operation_of(view).limits, LimitSpec(name, by)))


def reads(
    key: Callable[..., str], *, by: Literal["path", "user"] = "path"
) -> Callable[[Route], Route]:
    """Read the cached value under a key in the same round trip as the session and the limits.

    The key is that of the variables in the route's path, `@reads(keys.user)` of
    /users/<id:user_id>, or with `by="user"` that of the session's user id. The value is the one
    that the first `Cache.get_or_load` or `Cache.find` of this key uses in the route, after the
    route's own checks. It is not read for another service, nor for a request with a query string.

    Only for GET routes that require a session: registering another raises InvalidRead.
    """
    return lambda view: declare(view, reads=ReadSpec(key, by))


class RouteGuard:
    """Charges the rate limits of routes, and loads the sessions and values that they require.

    A request over a limit is a 429, whatever else is wrong with it. Then come 400, 401, 403, 503.
    """

    def __init__(self, state: AppState, rate_limits: Mapping[str, RateLimit]) -> None:
        self._limiter = state.limiter
        self._admission = state.admission
        self._rate_limits = rate_limits

    def admit(self, request: Request, operation: Operation) -> None:
        """Admit the current request, or raise Problem."""
        hold(None)
        if request.method == "OPTIONS":  # a browser's preflight request, without credentials
            return
        requirement = operation.requirement
        if requirement is None:
            self._charge(request, operation)
        elif not self._is_service(request, requirement):
            self._admit_user(request, operation, requirement)

    def forget(self) -> None:
        """Drop a value that the route has not used. Called at the end of each request."""
        hold(None)

    def _is_service(self, request: Request, requirement: Requirement) -> bool:
        """Whether another service sent the request. Services have no rate limits."""
        if not (requirement.allow_services or requirement.services_only):
            return False
        g.service = service = service_of_request(request)
        if service is None and requirement.services_only:
            raise Problem(CommonProblem.SERVICES_ONLY)
        return service is not None

    def _charge(self, request: Request, operation: Operation) -> None:
        charges = self._charges(request, operation)
        if charges:
            _apply(request, self._limiter.hit(*charges), charges)

    def _admit_user(self, request: Request, operation: Operation, requirement: Requirement) -> None:
        try:
            admitted = self._admission.admit(
                required_session_id(request),
                self._charges_of(request, operation),
                _key_of(request, operation.reads),
            )
        except (Problem, RedisUnavailable):  # the limits of the address apply all the same
            self._charge(request, operation)
            raise
        if admitted.decision is not None:
            _apply(request, admitted.decision, admitted.charges)
        if admitted.session is None:
            raise Problem(CommonProblem.LOGIN_REQUIRED)
        g.session = admitted.session
        check_requirement(requirement, admitted.session)
        hold(admitted.value)

    def _charges(self, request: Request, operation: Operation) -> tuple[Charge, ...]:
        limits = [limit for limit in operation.limits if limit.by == "address"]
        if not limits:
            return ()
        address = client_network(request.remote_addr)
        return tuple(Charge(self._rate_limits[limit.name], address) for limit in limits)

    def _charges_of(self, request: Request, operation: Operation) -> Charges:
        """All charges: those of the address, and with a session those of its user."""
        charges = self._charges(request, operation)
        limits = [self._rate_limits[each.name] for each in operation.limits if each.by == "user"]
        if not limits:
            return charges

        def of(user_id: UserId | None) -> tuple[Charge, ...]:
            if user_id is None:
                return charges
            # `keys.user` is here the identifier that the limits count, not a cached value.
            return charges + tuple(Charge(limit, keys.user(user_id)) for limit in limits)

        return of


def _apply(request: Request, decision: Decision, charges: Sequence[Charge]) -> None:
    remember(request, decision, charges)
    if not decision.allowed:
        raise RateLimitExceeded(decision)


def _key_of(request: Request, read: ReadSpec | None) -> ValueKey:
    if read is None or request.query_string:
        return None
    return read.key if read.by == "user" else read.key(*(request.view_args or {}).values())
