"""`@portal.limit`: the rate limits of a view."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import wraps
from typing import Any, Self, TypeVar, cast

from flask import Flask, Response, current_app, request
from flask.globals import request_ctx
from werkzeug.exceptions import BadRequest

from ..cache_handlers import Charge, OnError, RateLimit
from .callers import Caller, caller_of
from .charging import add_limit_headers, charge
from .configuration import PortalSettings
from .limit_exceeded import LimitExceeded
from .notation import parse_rates
from .state import current_state

View = TypeVar("View", bound=Callable[..., Any])

LIMITED = "portal_limits"
"""The attribute of a view that says what it was made of."""

_EXEMPT = "portal_exempt"  # the attribute of a view without the limits of the app
_APP_LIMITS = "pyportal_limits"  # in the app's extensions
_APP_CHARGED = "pyportal.app_charged"  # in the environ


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
    shadow: bool = False

    def __post_init__(self) -> None:
        if not callable(self.rates):
            for limit in self._limits(self.rates, "checked"):
                if not callable(self.cost):
                    Charge(limit, "checked", self.cost)

    def charges(self, view: str) -> Iterator[Charge]:
        """What the current request is charged for this limit."""
        method = request.method
        counted = {method, "GET"} if method == "HEAD" else {method}  # Flask runs the view of GET
        if self.methods and counted.isdisjoint(self.methods):
            return
        cost = self._cost()
        if cost < 1 or (self.exempt is not None and self.exempt()):
            return
        identifier = self.caller.identifier()
        rates = self.rates() if callable(self.rates) else self.rates
        for limit in self._limits(rates, self.name or view):
            yield Charge(limit, identifier, min(cost, limit.limit))

    def counts_with(self, other: Self) -> bool:
        """Whether the two are taken for one limit although their callers differ."""
        own = (self.caller.label, self.methods, self.name)
        others = (other.caller.label, other.methods, other.name)
        return own == others and self.caller is not other.caller

    def _cost(self) -> int:
        cost: object = self.cost() if callable(self.cost) else self.cost
        if not isinstance(cost, int) or isinstance(cost, bool):  # perhaps the client chose it
            raise BadRequest("The cost of a request must be a whole number")
        return int(cost)

    def _limits(self, rates: str, name: str) -> Iterator[RateLimit]:
        """The limits, named so that those of one view with other callers or methods differ."""
        label = "" if self.caller.label == "address" else self.caller.label
        full_name = ":".join(filter(None, (name, label, *self.methods)))
        for rate in parse_rates(rates):
            yield RateLimit(full_name, rate.limit, rate.window, self.on_error, self.shadow)


def limited(view: View, limit: ViewLimit) -> View:
    """The view with a limit. Limits that follow each other directly are charged together.

    Raises ValueError if it would share its counts with one that has another function.
    """
    if any(limit.counts_with(other) for other in _limits_of(view)):
        raise ValueError(
            f"two limits of a view count by functions called {limit.caller.label!r}:"
            " give the functions other names, or use Caller(name, function)"
        )
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


def _limits_of(view: Callable[..., Any]) -> Iterator[ViewLimit]:
    """The limits that a view has by now, also below decorators that use `wraps`."""
    found: _Limited | None = getattr(view, LIMITED, None)
    while found is not None:
        yield from found.limits
        found = getattr(found.view, LIMITED, None)


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
    """Charge requests to views, unless the view does it at once with its own limits."""
    endpoint = request.endpoint
    if endpoint is None or _is_answered_by_flask(endpoint):
        return
    view = current_app.view_functions[endpoint]
    if not _has(_EXEMPT, view) and not _has(LIMITED, view):
        _charge(_limits_of_app().default, endpoint.rpartition(".")[2])
    elif not _charges_first(view):
        _charge((), endpoint)


def _is_answered_by_flask(endpoint: str) -> bool:
    """Whether it is a request for a static file or OPTIONS."""
    view = current_app.view_functions[endpoint]
    module = getattr(view, "__module__", None) or ""
    if endpoint.rpartition(".")[2] == "static" and module.partition(".")[0] == "flask":
        return True
    automatic = getattr(request.url_rule, "provide_automatic_options", False)
    return request.method == "OPTIONS" and bool(automatic)


def _charges_first(view: Callable[..., Any]) -> bool:
    """Whether nothing can respond before the limits of the view: no decorator is around them."""
    limited = getattr(view, LIMITED, None)
    return limited is not None and limited.wrapper is view


def _has(attribute: str, view: Callable[..., Any] | None) -> bool:
    """Whether the view has an attribute, or the method of its class that responds."""
    view_class = getattr(view, "view_class", None)
    name = request.method.lower()
    methods = ("dispatch_request", name, "get" if name == "head" else name)
    candidates = (view, *(getattr(view_class, method, None) for method in methods))
    return any(hasattr(each, attribute) for each in candidates)


def _application_limits() -> tuple[ViewLimit, ...]:
    """The limits of the app that the current request is not yet charged for."""
    view = current_app.view_functions.get(request.endpoint or "")
    if _APP_CHARGED in request.environ or _has(_EXEMPT, view):
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
    """Charge the current request, unless limits are off. Raises LimitExceeded.

    If a function of a limit fails, its error is raised after the request is charged for the others.
    """
    if not current_state().settings.limits_enabled:
        return
    charges, failure = _charges((*_application_limits(), *limits), _name_of_view(function))
    if charges:
        decision = charge(current_state(), request_ctx.request, charges)
        if not decision.allowed:
            raise LimitExceeded(decision) from failure
    if failure is not None:
        raise failure


def _charges(limits: tuple[ViewLimit, ...], view: str) -> tuple[list[Charge], Exception | None]:
    """What the request is charged, and the first failure of a function of a limit."""
    charges: list[Charge] = []
    failure: Exception | None = None
    for limit in limits:
        try:
            charges += list(limit.charges(view))
        except RecursionError:  # of JSON that is nested too deeply
            failure = failure or BadRequest("The body is nested too deeply")
        except Exception as error:  # noqa: BLE001  it is raised after the charge
            failure = failure or error
    return charges, failure


def _name_of_view(function: str) -> str:
    """The endpoint, which names the view; for methods of a class also the method."""
    endpoint = request.endpoint or function
    return endpoint if endpoint.rpartition(".")[2] == function else f"{endpoint}.{function}"


def _add_headers(response: Response) -> Response:
    add_limit_headers(request_ctx.request, response, current_state().settings.limit_headers)
    return response
