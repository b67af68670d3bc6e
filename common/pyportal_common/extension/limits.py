"""`@portal.limit`: the rate limits of a view."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import wraps
from typing import Any, Self, TypeVar, cast

from flask import Flask, Response, current_app, json, request
from flask.globals import request_ctx
from werkzeug.exceptions import TooManyRequests

from ..cache_handlers import Charge, Decision, OnError, RateLimit
from .callers import Caller, caller_of
from .charging import add_limit_headers, charge
from .configuration import PortalSettings
from .limit_headers import QUOTA_EXCEEDED, QUOTA_EXCEEDED_TITLE, policy_name
from .notation import parse_rates
from .state import current_state

View = TypeVar("View", bound=Callable[..., Any])

LIMITED = "portal_limits"
"""The attribute of a view that says what it was made of."""

_EXEMPT = "portal_exempt"  # the attribute of a view without the limits of the app
_APP_LIMITS = "pyportal_limits"  # in the app's extensions
_APP_CHARGED = "pyportal.app_charged"  # in the environ
_PROBLEM_JSON = "application/problem+json"


class LimitExceeded(TooManyRequests):
    """429: the request is over a limit. An error handler may respond in another way.

    The headers of the limit and Retry-After are added to whatever it responds.
    """

    def __init__(self, decision: Decision) -> None:
        super().__init__("Rate limit exceeded", response=_too_many(decision))
        self.decision = decision


@dataclass(frozen=True, slots=True)
class ViewLimit:
    """One `@portal.limit` of a view. See `Portal.limit`."""

    rates: str | Callable[[], str]
    caller: Caller
    cost: int | Callable[[], int]
    exempt: Callable[[], bool] | None
    methods: tuple[str, ...]
    name: str | None
    on_error: OnError

    def __post_init__(self) -> None:
        if not callable(self.rates):
            for limit in self._limits(self.rates, "checked"):
                if not callable(self.cost):
                    Charge(limit, "checked", self.cost)

    def charges(self, view: str) -> Iterator[Charge]:
        """What the current request is charged for this limit."""
        if self.methods and request.method not in self.methods:
            return
        cost = self.cost() if callable(self.cost) else self.cost
        if cost < 1 or (self.exempt is not None and self.exempt()):
            return
        identifier = self.caller.identifier()
        rates = self.rates() if callable(self.rates) else self.rates
        for limit in self._limits(rates, self.name or view):
            yield Charge(limit, identifier, min(cost, limit.limit))

    def _limits(self, rates: str, name: str) -> Iterator[RateLimit]:
        """The limits, named so that those of one view with other callers or methods differ."""
        label = "" if self.caller.label == "address" else self.caller.label
        full_name = ":".join(filter(None, (name, label, *self.methods)))
        for rate in parse_rates(rates):
            yield RateLimit(full_name, rate.limit, rate.window, self.on_error)


def limited(view: View, limit: ViewLimit) -> View:
    """The view with a limit. Limits that follow each other directly are charged together."""
    limits: tuple[ViewLimit, ...] = (limit,)
    inner: Callable[..., Any] = view
    earlier = getattr(view, LIMITED, None)
    if earlier is not None and earlier.wrapper is view:  # not one that `wraps` has copied
        limits, inner = (limit, *earlier.limits), earlier.view

    @wraps(inner)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        _charge(limits, inner.__name__)
        return current_app.ensure_sync(inner)(*args, **kwargs)

    setattr(wrapper, LIMITED, _Limited(wrapper, limits, inner))
    return cast("View", wrapper)


def exempted(view: View) -> View:
    """The view without the limits of the app."""
    setattr(view, _EXEMPT, True)
    return view


@dataclass(frozen=True, slots=True)
class _AppLimits:
    """Limits of all views of an app, by address."""

    default: tuple[ViewLimit, ...]
    """Of each view without its own."""

    application: tuple[ViewLimit, ...]
    """Of all views together, beside those of the view."""

    @classmethod
    def of(cls, settings: PortalSettings) -> Self:
        """The limits in the settings of an app."""
        return cls(
            _app_limits(settings.default_limits, None),
            _app_limits(settings.application_limits, "*"),
        )


def _app_limits(rates: str | None, name: str | None) -> tuple[ViewLimit, ...]:
    return (ViewLimit(rates, caller_of("address"), 1, None, (), name, "local"),) if rates else ()


def register_limits(app: Flask, settings: PortalSettings) -> None:
    """Charge for the limits of `app`, and send the headers of limits with its responses."""
    app.extensions[_APP_LIMITS] = _AppLimits.of(settings)
    app.before_request(_charge_app)
    app.after_request(_add_headers)


def _charge_app() -> None:
    """Charge requests to views without limits of their own; the others charge with those.

    Requests that reach no view are not counted, nor are static files.
    """
    endpoint = request.endpoint
    if endpoint is None or endpoint.rpartition(".")[2] == "static" or _is_answered_by_flask():
        return
    view = current_app.view_functions[endpoint]
    if not (hasattr(view, _EXEMPT) or _has_limits(view)):
        _charge(_limits_of_app().default, endpoint.rpartition(".")[2])


def _is_answered_by_flask() -> bool:
    rule = request.url_rule
    automatic = getattr(rule, "provide_automatic_options", False)
    return request.method == "OPTIONS" and bool(automatic)


def _has_limits(view: Callable[..., Any]) -> bool:
    view_class = getattr(view, "view_class", None)
    name = request.method.lower()
    methods = ("dispatch_request", name, "get" if name == "head" else name)
    candidates = (view, *(getattr(view_class, method, None) for method in methods))
    return any(hasattr(each, LIMITED) for each in candidates)


def _application_limits() -> tuple[ViewLimit, ...]:
    """The limits of the app that the current request is not yet charged for."""
    view = current_app.view_functions.get(request.endpoint or "")
    if _APP_CHARGED in request.environ or hasattr(view, _EXEMPT):
        return ()
    request.environ[_APP_CHARGED] = True
    return _limits_of_app().application


def _limits_of_app() -> _AppLimits:
    """The limits of the current app; services have none, because their settings name each limit."""
    found: _AppLimits = current_app.extensions.get(_APP_LIMITS, _AppLimits((), ()))
    return found


@dataclass(frozen=True, slots=True, eq=False)
class _Limited:
    wrapper: Callable[..., Any]
    limits: tuple[ViewLimit, ...]
    view: Callable[..., Any]


def _charge(limits: tuple[ViewLimit, ...], function: str) -> None:
    """Charge the current request, unless limits are off. Raises LimitExceeded."""
    if not current_state().settings.limits_enabled:
        return
    view, all_limits = _name_of_view(function), (*_application_limits(), *limits)
    charges = [each for limit in all_limits for each in limit.charges(view)]
    if charges:
        decision = charge(current_state(), request_ctx.request, charges)
        if not decision.allowed:
            raise LimitExceeded(decision)


def _name_of_view(function: str) -> str:
    """The endpoint, which names the view; for methods of a class also the method."""
    endpoint = request.endpoint or function
    return endpoint if endpoint.rpartition(".")[2] == function else f"{endpoint}.{function}"


def _add_headers(response: Response) -> Response:
    add_limit_headers(request_ctx.request, response, current_state().settings.limit_headers)
    return response


def _too_many(decision: Decision) -> Response:
    body: dict[str, Any] = {
        "error": "Rate limit exceeded",
        "retry_after": decision.retry_after,
    }
    media_type = "application/json"
    if request.accept_mimetypes.best_match([media_type, _PROBLEM_JSON]) == _PROBLEM_JSON:
        media_type = _PROBLEM_JSON
        body = {
            "type": QUOTA_EXCEEDED,
            "title": QUOTA_EXCEEDED_TITLE,
            "status": 429,
            "detail": "Rate limit exceeded",
            "retry_after": decision.retry_after,
            "violated-policies": [policy_name(decision.rate_limit, decision.window)],
        }
    retry_after = {"Retry-After": str(decision.retry_after)}
    return Response(json.dumps(body) + "\n", 429, retry_after, mimetype=media_type)
