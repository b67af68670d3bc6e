"""What `doctor` checks of the other services, and of the services' tokens."""

import time
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

from .. import __version__
from ..findings import Check, Finding
from ..jobs.outbox import OutboxSettings
from ..outbound import HttpResponse, RequestFailed, request
from ..settings import SERVICE_TOKEN_HEADER, ServiceSettings

_SECONDS = 2.0  # of a request
_DEVELOPMENT = "development"  # how the tokens and passwords of docker-compose.yml begin

# A call that needs a token. It is refused before it does anything, for its unknown parameter, and
# there is no such user.
_USER = "/api/v1/airliner/users/999999999999999999"
PROBES = {
    "usermanagement": ("GET", f"{_USER}?doctor=1"),
    "taskprocessing": ("POST", f"{_USER}/anonymise?doctor=1"),
    "notification": ("POST", f"{_USER}/anonymise?doctor=1"),
}


def peer_checks(service: str, settings: ServiceSettings) -> Mapping[str, Check]:
    """A check of the tokens, and one of each other service."""
    outbox = OutboxSettings.load()
    peers = [name for name in PROBES if name != service]
    return {
        "tokens": partial(check_tokens, service, settings, outbox),
        **{f"service {name}": partial(check_peer, name, outbox) for name in peers},
    }


def check_tokens(
    service: str, settings: ServiceSettings, outbox: OutboxSettings
) -> Iterator[Finding]:
    """Whether this service has a token, knows those of the others, and all of them are secret."""
    own, known = outbox.service_token.get_secret_value(), settings.services_by_token()
    wrong = [
        *_own_token(service, own, known),
        *_known_tokens(service, known),
        *([] if settings.is_local else _development_tokens(own, known)),
    ]
    for text, remedy in wrong:
        yield Finding("tokens", "wrong", text, remedy)
    if not wrong:
        names = ", ".join(sorted(set(known.values())))
        yield Finding("tokens", "ok", f"SERVICE_TOKENS has those of {names}")


def check_peer(name: str, outbox: OutboxSettings) -> Iterator[Finding]:
    """Whether another service answers, with our release, and accepts our token."""
    check, variable = f"service {name}", f"{name.upper()}_URL"
    url: str = getattr(outbox, f"{name}_url").rstrip("/")
    try:
        described = _described(request("GET", f"{url}/", timeout_seconds=_SECONDS))
        if described.get("service") != name:  # it must not get our token
            text = f"what answers at {variable} is not this service"
            yield Finding(check, "wrong", text, f"set {variable}")
            return
        began = time.monotonic()
        status = _status_of_token(name, url, outbox)
        took = (time.monotonic() - began) * 1000
    except RequestFailed as error:
        yield Finding(check, "unseen", str(error), f"see that it runs, and {variable}")
        return
    yield Finding(check, "ok", "answers", milliseconds=took)
    if described.get("version") != __version__:
        text = f"is release {str(described.get('version'))[:50]}, and this one is {__version__}"
        yield Finding(check, "wrong", text, "update both")
    if status == 401:
        text = "does not accept our SERVICE_TOKEN"
        yield Finding(check, "wrong", text, "compare it with SERVICE_TOKENS there")
    elif status != 422:
        text = f"answers {status} to a call with our SERVICE_TOKEN"
        yield Finding(check, "unseen", text, "run `doctor` there")


Wrong = Iterator[tuple[str, str]]  # what is wrong, and what to do


def _own_token(service: str, own: str, known: Mapping[str, str]) -> Wrong:
    if not own:
        yield "SERVICE_TOKEN is not set: other services refuse this one", "set SERVICE_TOKEN"
    elif known.get(own, service) != service:
        yield f"SERVICE_TOKEN is the token of {known[own]}", "set SERVICE_TOKEN to the own one"


def _known_tokens(service: str, known: Mapping[str, str]) -> Wrong:
    for name in PROBES:
        if name != service and name not in known.values():
            yield f"SERVICE_TOKENS has none of {name}, so it is refused here", "add it"


def _development_tokens(own: str, known: Mapping[str, str]) -> Wrong:
    names = sorted({name for token, name in known.items() if token.startswith(_DEVELOPMENT)})
    if names or own.startswith(_DEVELOPMENT):
        text = f"tokens of development are in use: of {', '.join(names) or 'this service'}"
        yield text, "set secret ones, such as USERMANAGEMENT_TOKEN, in .env"


def _status_of_token(name: str, url: str, outbox: OutboxSettings) -> int:
    method, path = PROBES[name]
    token = outbox.service_token.get_secret_value()
    headers = {SERVICE_TOKEN_HEADER: token} if token else {}
    return request(method, url + path, headers=headers, timeout_seconds=_SECONDS).status


def _described(answer: HttpResponse) -> Mapping[str, Any]:
    try:
        found = answer.json()
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
