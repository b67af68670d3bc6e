"""Admission of a request: its session, all of its rate limits and a value, in one round trip."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from .. import keys
from ..cache.read_ahead import ReadAhead
from ..client.client import RedisClient
from ..client.errors import RedisUnavailable
from ..client.scripts import Script
from ..rate_limits.limiter import Limiter
from ..rate_limits.policy import Charge, Decision, RateLimit
from ..sessions.documents import Session, UserId, prefixes, user_in
from ..sessions.store import SessionStore
from .value_reads import ValueReads

_MAX_KNOWN_SESSIONS = 10_000

ValueKey = str | Callable[[UserId], str] | None
"""The key of a cached value, or how it follows from the session's user."""


@dataclass(frozen=True, slots=True)
class AdmissionResult:
    """The session, if there is one, and the decision of the rate limits, if there are any.

    `value` is the cached value, if it was read. Only an admitted request with a session reads it.
    """

    session: Session | None
    decision: Decision | None
    value: ReadAhead | None = None

    @property
    def allowed(self) -> bool:
        """Whether the rate limits allow the request."""
        return self.decision is None or self.decision.allowed


class Admission:
    """Loads a session, resets its idle timeout and charges rate limits: all of them, or none.

    Limits of an address apply with or without a session; limits of the user need one. A script must
    declare its keys, and the key of a user's limit or value contains the user id. So this process
    remembers the users of the sessions that it has seen, and the script returns the right one if
    that is wrong.

    The same script reads a value that the request needs from the database of `caches`, if that is
    on the same server: see ValueReads.

    One round trip; two for a user's limits on a session that is new to this process. The limiter
    and the sessions must have the same client.
    """

    def __init__(
        self, limiter: Limiter, sessions: SessionStore, caches: RedisClient | None = None
    ) -> None:
        if limiter.client is not sessions.client:
            raise ValueError("the limiter must have the client of the sessions")
        self._limiter = limiter
        self._sessions = sessions
        self._values = ValueReads(sessions.client, caches or sessions.client)
        self._script = Script.load(__package__, "admission").calling(
            window=limiter.script, session_load=sessions.load_script
        )
        self._lock = threading.Lock()
        self._users: OrderedDict[str, UserId] = OrderedDict()

    def admit(
        self,
        session_id: str,
        charges: Sequence[Charge],
        user_limits: Sequence[RateLimit] = (),
        key: ValueKey = None,
    ) -> AdmissionResult:
        """The session, whether the `charges` and the `user_limits` allow the request, and the
        value under `key`. For a session that is new to this process a user's value is read only if
        there are user limits.

        In an outage the charges are counted in this process, then RedisUnavailable is raised.
        """
        if not charges and not user_limits and key is None:
            return AdmissionResult(self._sessions.load(session_id), None)
        if not session_id:
            return AdmissionResult(None, self._limiter.hit(*charges) if charges else None)
        try:
            return self._admit(session_id, tuple(charges), user_limits, key)
        except RedisUnavailable:
            decision = self._limiter.hit(*charges) if charges else None
            if decision is not None and not decision.allowed:
                return AdmissionResult(None, decision)
            raise

    def _admit(
        self,
        session_id: str,
        charges: tuple[Charge, ...],
        user_limits: Sequence[RateLimit],
        key: ValueKey,
    ) -> AdmissionResult:
        user_id = self._users.get(session_id)
        depends_on_user = bool(user_limits) or callable(key)
        if user_limits and user_id is None:
            known = self._sessions.load(session_id, touch=False)
            user_id = self._remember(known) if known is not None else None
            user_limits = user_limits if known is not None else ()
        is_same_user = 0
        while not is_same_user:
            # `keys.user` is here the identifier that the limits count, not a cached value.
            of_user = tuple(Charge(limit, keys.user(user_id or 0)) for limit in user_limits)
            names, arguments = self._limiter.command(charges + of_user)
            value_key = _key_for(user_id, key)
            value = self._values.arguments(value_key, is_own=callable(key))
            is_same_user, *reply = self._sessions.client.run(
                self._script,
                [keys.session(session_id), *names],
                [len(of_user), *prefixes(user_id or 0), *value, *arguments],
            )
            if not is_same_user:  # the session id was given to another user
                user_id = user_in(reply[0])
                user_limits = user_limits if user_id is not None else ()  # it is no session
        loaded, charged, verdict, found = reply
        session = self._sessions.loaded(session_id, loaded)
        if session is not None and depends_on_user:
            self._remember(session)
        decided = (charges + of_user)[:charged]
        return AdmissionResult(
            session,
            self._limiter.decision(decided, verdict) if decided else None,
            self._values.read(value_key, found),
        )

    def _remember(self, session: Session) -> UserId:
        with self._lock:
            self._users[session.session_id] = session.user_id
            self._users.move_to_end(session.session_id)
            if len(self._users) > _MAX_KNOWN_SESSIONS:
                self._users.popitem(last=False)
        return session.user_id


def _key_for(user_id: UserId | None, key: ValueKey) -> str | None:
    """The key of the value, if it is known."""
    if not callable(key):
        return key
    return None if user_id is None else key(user_id)
