"""Long polls: requests that wait for a change, as `Prefer: wait=20` (RFC 7240) asks."""

import re
import select
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import wraps
from threading import BoundedSemaphore, Event
from typing import Any

from flask import Response, current_app, make_response, request
from werkzeug.http import generate_etag, parse_list_header

from .auth import require_unended_session
from .declarations import Route, declare

LONGEST_SECONDS = 20
_WAIT = re.compile(r'wait\s*=\s*("?)([0-9]{1,9})\1\s*(;.*)?', re.IGNORECASE)
_HUNG_UP = getattr(select, "POLLRDHUP", 0)  # only on Linux; elsewhere only resets are noticed


class LongPolls:
    """The requests of a process that wait, at most `most` at a time, each in its thread.

    A waiting request looks for a change every `look_every` seconds. In between it holds nothing but
    its thread and its connection.
    """

    def __init__(self, *, most: int = 2, look_every: float = 0.25) -> None:
        self._places = BoundedSemaphore(most)
        self._released = Event()
        self._look_every = look_every

    def release(self) -> None:
        """Let all requests be answered at once, from now on."""
        self._released.set()

    @property
    def are_released(self) -> bool:
        """Whether `release` was called."""
        return self._released.is_set()

    @contextmanager
    def place(self) -> Iterator[bool]:
        """A place to wait, or False if there is none."""
        taken = self._places.acquire(blocking=False)
        try:
            yield taken and not self.are_released
        finally:
            if taken:
                self._places.release()

    def looks(self, seconds: float) -> Iterator[None]:
        """Wait before each look, until the time is up or `release` is called."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            if self._released.wait(min(left, self._look_every)):
                return
            yield


def long_poll(view: Route) -> Route:
    """Requests of a GET route may wait until its response changes: `Prefer: wait=20`.

    The route says by `Retry-After` that its response will change. The request is then answered when
    it has changed, or when the time is up, with `Preference-Applied`. It is answered at once if it
    has an If-None-Match that does not match: something has changed already. Without a place
    to wait, or when the process ends, it is answered as if it had not asked, with `Retry-After`.
    When the client closes its connection, it gives its place to another one. A session that has
    ended meanwhile is shown no change: 401.

    Put it below `@conditional`. The app needs `app.extensions["long_polls"]`.
    """

    @wraps(view)
    def wait_first(*args: Any, **kwargs: Any) -> Response:
        response = make_response(view(*args, **kwargs))
        seconds = _preferred_seconds()
        if not seconds or not _will_change(response):
            return response
        polls: LongPolls = current_app.extensions["long_polls"]
        with polls.place() as has_place:
            if not has_place:
                return response
            before = response.data
            for _ in polls.looks(seconds):
                if _client_is_gone():
                    return response
                response = make_response(view(*args, **kwargs))
                if response.data != before:
                    require_unended_session()
                    break
        if not polls.are_released:
            response.headers["Preference-Applied"] = f"wait={seconds}"
            response.headers.pop("Retry-After", None)
        return response

    return declare(wait_first, long_poll=True)  # type: ignore[return-value]  # same signature


def _preferred_seconds() -> int:
    """How long the client prefers to wait; 0 if it does not say so, or not in whole seconds."""
    preferences = parse_list_header(",".join(request.headers.getlist("Prefer")))
    found = next(filter(None, map(_WAIT.fullmatch, preferences)), None)
    return min(int(found[2]), LONGEST_SECONDS) if found else 0


def _will_change(response: Response) -> bool:
    """Whether the client has to wait for what it does not know yet."""
    known = request.if_none_match
    is_known = not known or known.contains_weak(generate_etag(response.data))
    return is_known and "Retry-After" in response.headers


def _client_is_gone() -> bool:
    """Whether the client has closed the connection, or its half of it."""
    connection = request.environ.get("gunicorn.socket")
    if connection is None:
        return False
    poll = select.poll()
    poll.register(connection, _HUNG_UP)
    return bool(poll.poll(0))
