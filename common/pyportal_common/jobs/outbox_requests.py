"""Posts outbox messages to another service, many in a request if it takes them."""

import json
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Literal

from ..outbound import CircuitBreakers, CircuitOpen, HttpResponse, RequestFailed, request
from ..settings import SERVICE_TOKEN_HEADER
from ..spans import Span, attempt, traceparent
from .outbox import NOTIFICATIONS, OutboxSettings

BATCH = f"{NOTIFICATIONS}/batch"
MAX_ITEMS = 100  # of a request, as Notification accepts them
MAX_BYTES = 512 * 1024

_MAX_ANSWER_BYTES = 128 * 1024
_SINGLES_SECONDS = 60.0  # after which a service that has no batches is asked again
# A token that is being rotated, a service that is being deployed, and statuses that mean "later".
_TEMPORARY = frozenset({401, 403, 404, 408, 409, 425, 429})
_BUSY = 429  # and every 5xx: other messages would get the same answer


@dataclass(frozen=True, slots=True)
class PostResult:
    """What has become of a message, and why. A cancelled one was not posted."""

    state: Literal["done", "retry", "refused", "cancelled"]
    reason: str | None = None


DONE = PostResult("done")


class _NoBatches(Exception):
    """The service did not accept a batch as a whole: it may accept the messages one by one."""


class Receiver:
    """A service that receives messages. A request takes at most `timeout_seconds`."""

    def __init__(
        self,
        service: str,
        settings: OutboxSettings,
        breakers: CircuitBreakers,
        *,
        timeout_seconds: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._service = service
        self._settings = settings
        self._breakers = breakers
        self._timeout = timeout_seconds
        self._clock = clock
        self._singles_until = 0.0

    def post(self, messages: Sequence[Any], until: float) -> dict[int, PostResult]:
        """Post messages, in this order, and return their outcomes by id.

        Those for which there is no time before `until`, and those after a request that has found
        the service unavailable, have no outcome.
        """
        outcomes: dict[int, PostResult] = {}
        requests = deque(self._requests(messages))
        while requests and self._clock() + self._timeout <= until:
            batch = requests.popleft()
            try:
                with self._breakers.calling(self._service, RequestFailed):
                    found = self._post_all(batch) if len(batch) > 1 else self._post_one(batch[0])
            except CircuitOpen:
                break
            except _NoBatches:
                requests.extendleft([message] for message in reversed(batch))
                continue
            except RequestFailed as error:
                retried = PostResult("retry", f"{self._service}: {error}")
                return outcomes | {message.id: retried for message in batch}
            outcomes |= found.outcomes
            if found.is_busy:
                break
        return outcomes

    def _requests(self, messages: Sequence[Any]) -> Iterator[list[Any]]:
        """The messages of each request."""
        takes_batches = self._clock() >= self._singles_until
        for path, group in groupby(messages, key=lambda message: message.path):
            if path == NOTIFICATIONS and takes_batches:
                yield from _bounded(group)
            else:
                yield from ([message] for message in group)

    def _post_one(self, message: Any) -> "_Answer":
        with delivery_span(self._service, message) as span:
            answer = self._request(message.path, message.body, {"Idempotency-Key": message.key})
            span.set("http.response.status_code", answer.status)
        return _Answer({message.id: self._outcome(answer.status)}, answer.status)

    def _post_all(self, messages: Sequence[Any]) -> "_Answer":
        """Post a batch. Raises _NoBatches and RequestFailed.

        Each message has a span; the request itself belongs to the trace of the last one.
        """
        with ExitStack() as spans:
            items = []
            for each in messages:
                spans.enter_context(delivery_span(self._service, each))
                items.append(_item(each))
            answer = self._request(BATCH, {"items": items}, {}, max_body_bytes=_MAX_ANSWER_BYTES)
        if answer.status in (404, 405):  # an earlier release
            self._singles_until = self._clock() + _SINGLES_SECONDS
            raise _NoBatches
        outcome = self._outcome(answer.status)
        if outcome.state == "refused":  # for one of them, or because of their size
            raise _NoBatches
        ids = [message.id for message in messages]
        if outcome.state == "retry":
            return _Answer(dict.fromkeys(ids, outcome), answer.status)
        return _Answer(dict(zip(ids, self._outcomes(answer, len(ids)), strict=True)), answer.status)

    def _outcomes(self, answer: HttpResponse, count: int) -> list[PostResult]:
        """The outcomes in the response to a batch. Raises RequestFailed if it is not one."""
        try:
            found = answer.json()["items"]
            outcomes = [self._outcome(int(item["status"]), _fields(item)) for item in found]
        except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
            outcomes = []
        if len(outcomes) != count:
            raise RequestFailed("not a valid response to a batch")
        return outcomes

    def _outcome(self, status: int, fields: str = "") -> PostResult:
        if 200 <= status < 300:
            return DONE
        is_final = 400 <= status < 500 and status not in _TEMPORARY
        reason = f"{self._service} answered {status}{fields}"
        return PostResult("refused" if is_final else "retry", reason)

    def _request(
        self, path: str, body: Any, headers: dict[str, str], **options: Any
    ) -> HttpResponse:
        return request(
            "POST",
            getattr(self._settings, f"{self._service}_url") + path,
            headers={
                "Content-Type": "application/json",
                SERVICE_TOKEN_HEADER: self._settings.service_token.get_secret_value(),
                **headers,
            },
            body=json.dumps(body).encode(),
            timeout_seconds=self._timeout,
            **options,
        )


@dataclass(frozen=True, slots=True)
class _Answer:
    """The outcomes of one request, and the status of its response."""

    outcomes: dict[int, PostResult]
    status: int

    @property
    def is_busy(self) -> bool:
        """Whether the service is unavailable for other messages, too."""
        return self.status >= 500 or self.status == _BUSY


def delivery_span(service: str, message: Any) -> Span:
    """The span of an attempt to deliver a message."""
    return attempt(
        "delivery",
        {"pyportal.receiver": service},
        kind="client",
        cause=message.traceparent,
        number=message.attempts,
    )


def _item(message: Any) -> dict[str, Any]:
    """A message in a batch. Earlier releases of the receiver do not know `traceparent`."""
    item, context = {"idempotencyKey": message.key, "notification": message.body}, traceparent()
    return item if context is None else {**item, "traceparent": context}


def _bounded(messages: Iterator[Any]) -> Iterator[list[Any]]:
    """Batches of at most MAX_ITEMS and MAX_BYTES. A message that is longer is alone."""
    batch: list[Any] = []
    size = 0
    for message in messages:
        length = len(json.dumps(message.body)) + 200  # with its key
        if batch and (len(batch) == MAX_ITEMS or size + length > MAX_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(message)
        size += length
    if batch:
        yield batch


def _fields(item: Any) -> str:
    """The fields that a refusal names, without their values: they are personal data."""
    names = ", ".join(str(detail["field"])[:100] for detail in item.get("details") or ())
    return f" about {names}"[:300] if names else ""
