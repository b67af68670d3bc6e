"""Enforces the rate limits and logins that routes declare, in one round trip before they run."""

from collections.abc import Mapping

from flask import g, request

from ..cache_handlers import Admission, Charge, Decision, Limiter, RateLimit, SessionStore
from .auth import check_requirement, required_session_id, service_of_request
from .declarations import Operation, Requirement, current_operation
from .limits import client_network
from .problems import Problem, RateLimitExceeded, unauthorized


class RouteGuard:
    """Charges the rate limits of routes and loads the sessions that they require.

    A request over a limit is a 429, whatever else is wrong with it. Then come 400, 401, 403, 503.
    """

    def __init__(
        self,
        limiter: Limiter,
        sessions: SessionStore | None,
        rate_limits: Mapping[str, RateLimit],
    ) -> None:
        self._limiter = limiter
        self._admission = Admission(limiter, sessions) if sessions is not None else None
        self._rate_limits = rate_limits

    def admit(self) -> None:
        """Admit the current request, or raise Problem. A `before_request` hook."""
        if request.method == "OPTIONS":  # a browser's preflight request, without credentials
            return
        operation = current_operation()
        requirement = operation.requirement
        if requirement is None:
            self._charge(operation)
        elif not self._is_service(requirement):
            self._admit_user(operation, requirement)

    def _is_service(self, requirement: Requirement) -> bool:
        """Whether another service sent the request. Services have no rate limits."""
        if not (requirement.allow_services or requirement.services_only):
            return False
        g.service = service_of_request()
        if g.service is None and requirement.services_only:
            raise unauthorized("Only other services may call this, with a service token")
        return g.service is not None

    def _charge(self, operation: Operation) -> None:
        charges = self._charges(operation)
        if charges:
            self._apply(self._limiter.hit(*charges))

    def _admit_user(self, operation: Operation, requirement: Requirement) -> None:
        if self._admission is None:
            raise RuntimeError("the route requires a session, but the service has no session store")
        try:
            session_id = required_session_id()
        except Problem:
            self._charge(operation)
            raise
        per_user = [
            self._rate_limits[limit.name] for limit in operation.limits if limit.by == "user"
        ]
        admitted = self._admission.admit(session_id, self._charges(operation), per_user)
        if admitted.decision is not None:
            self._apply(admitted.decision)
        if admitted.session is None:
            raise unauthorized("Log in first")
        g.session = admitted.session
        check_requirement(requirement, admitted.session)

    @staticmethod
    def _apply(decision: Decision) -> None:
        if not decision.allowed:
            raise RateLimitExceeded(decision)
        g.rate_limit = decision

    def _charges(self, operation: Operation) -> tuple[Charge, ...]:
        limits = [limit for limit in operation.limits if limit.by == "address"]
        if not limits:
            return ()
        address = client_network(request.remote_addr)
        return tuple(Charge(self._rate_limits[limit.name], address) for limit in limits)
