"""What routes declare of who may call them, enforced before they run, in one round trip."""

from collections.abc import Mapping

from flask import Flask, Response, current_app, g, request

from ..cache_handlers import Charge, Gate, Limiter, RateLimit, SessionStore
from .auth import check, required_credential, unauthorized
from .declarations import Operation, Requirement, operation_of
from .limits import client_network
from .problems import Problem, rate_limit_response
from .service_tokens import service_of_request


def register_admission(
    app: Flask,
    limiter: Limiter,
    sessions: SessionStore | None,
    policies: Mapping[str, RateLimit],
) -> None:
    """Before a route of `app` runs: spend its limits, and load the session that it requires.

    First the limits, whatever else is wrong: 429. Then 400, 401, 403 or 503.
    """
    app.before_request(_Door(limiter, sessions, policies).admit)


class _Door:
    def __init__(
        self,
        limiter: Limiter,
        sessions: SessionStore | None,
        policies: Mapping[str, RateLimit],
    ) -> None:
        self._limiter = limiter
        self._gate = Gate(limiter, sessions) if sessions is not None else None
        self._policies = policies

    def admit(self) -> Response | None:
        """The answer to a request that may not pass."""
        if request.method == "OPTIONS":  # a browser asks before it sends
            return None
        operation = operation_of(current_app.view_functions.get(request.endpoint or ""))
        if operation.requirement is None:
            return self._spend(operation)
        if operation.requirement.services is not None and self._is_service(operation.requirement):
            return None
        try:
            session_id = required_credential()
        except Problem as problem:
            refusal = self._spend(operation)
            if refusal is None:
                raise problem from None
            return refusal
        return self._enter(session_id, operation.requirement, operation)

    def _is_service(self, requirement: Requirement) -> bool:
        """Whether another service asks; it has no limits. Raises Problem where it must be one."""
        g.service = service_of_request()
        if g.service is None and requirement.services == "only":
            raise unauthorized("This is for other services, with a token")
        return g.service is not None

    def _spend(self, operation: Operation) -> Response | None:
        charges = self._charges(operation)
        if not charges:
            return None
        g.rate_limit = self._limiter.hit(*charges)
        return None if g.rate_limit.allowed else rate_limit_response(g.rate_limit.retry_after)

    def _enter(
        self, session_id: str, requirement: Requirement, operation: Operation
    ) -> Response | None:
        if self._gate is None:
            raise RuntimeError("a route requires a session, and this service has none")
        own = [self._policies[limit.name] for limit in operation.limits if limit.by == "user"]
        admission = self._gate.admit(session_id, self._charges(operation), own)
        if admission.decision is not None:
            g.rate_limit = admission.decision
            if not admission.allowed:
                return rate_limit_response(admission.decision.retry_after)
        if admission.session is None:
            raise unauthorized("Log in first")
        g.session = admission.session
        check(requirement, admission.session)
        return None

    def _charges(self, operation: Operation) -> tuple[Charge, ...]:
        limits = [limit for limit in operation.limits if limit.by == "address"]
        if not limits:
            return ()
        address = client_network(request.remote_addr)
        return tuple(Charge(self._policies[limit.name], address) for limit in limits)
