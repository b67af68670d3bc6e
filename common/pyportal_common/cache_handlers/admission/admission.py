"""Admission of a request: its session, all of its rate limits and a value, in one round trip."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Self

from .. import keys
from ..cache.read_ahead import ReadAhead
from ..client.client import RedisClient
from ..client.errors import RedisRefused
from ..client.scripts import Script
from ..rate_limits.limiter import Limiter
from ..rate_limits.policy import Charge, Decision
from ..sessions.documents import Session, UserId, prefixes, read
from ..sessions.store import SessionStore
from .value_reads import ValueReads

_MAX_KNOWN_SESSIONS = 10_000


@dataclass(frozen=True, slots=True)
class _Owner:
    """Whose session it is, and the role that limits depend on."""

    user_id: UserId | None = None
    role: str = ""

    @classmethod
    def of(cls, session: Session | None) -> Self:
        if session is None:
            return cls()
        role = session.user_data.get("role")
        return cls(session.user_id, role if isinstance(role, str) else "")


_NOBODY = _Owner()

ValueKey = str | Callable[[UserId], str] | None
"""The key of a cached value, or how it follows from the session's user."""

Charges = Sequence[Charge] | Callable[[UserId | None], Sequence[Charge]]
"""What a request is charged, or how it follows from the session's user: None without a session."""


@dataclass(frozen=True, slots=True)
class AdmissionResult:
    """The session, if there is one, and the decision of the rate limits, if there are any.

    `charges` are those that were decided. `value` is the cached value, if it was read. Only an
    admitted request with a session reads it.
    """

    session: Session | None
    decision: Decision | None
    charges: Sequence[Charge] = ()
    value: ReadAhead | None = None

    @property
    def allowed(self) -> bool:
        """Whether the rate limits allow the request."""
        return self.decision is None or self.decision.allowed


class Admission:
    """Loads a session, resets its idle timeout and charges rate limits: all of them, or none.

    A script must declare its keys, and the key of a user's limit or value contains the user id. So
    this process remembers the users of the sessions that it has seen, and the script returns the
    right one if that is wrong. It also remembers their roles, on which overrides of limits may
    depend. A session whose role was changed without a new login is charged by the former one once.

    The same script reads a value that the request needs from the database of `caches`, if that is
    on the same server: see ValueReads.

    One round trip; two for charges of a user or by role if the session is new to this process. The
    limiter and the sessions must have the same client.
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
        self._owners: OrderedDict[str, _Owner] = OrderedDict()

    def admit(
        self, session_id: str, charges: Charges = (), key: ValueKey = None
    ) -> AdmissionResult:
        """The session, whether the `charges` allow the request, and the value under `key`.

        For a session that is new to this process a user's value is read only if the charges depend
        on the user as well. Raises RedisUnavailable in an outage: then nothing was counted, unlike
        by `Limiter.hit`. A server whose memory is full counts nothing, but it has the sessions: the
        limits then do what they do in an outage, in three more round trips.
        """
        if not charges and key is None:
            return AdmissionResult(self._sessions.load(session_id), None)
        if not session_id:
            due = self._due(charges, _NOBODY)
            return AdmissionResult(None, self._limiter.hit(*due) if due else None, due)
        try:
            return self._admit(session_id, charges, key)
        except RedisRefused as refusal:
            if refusal.code != "OOM":
                raise
        session = self._sessions.load(session_id)
        due = self._due(charges, _Owner.of(session))
        return AdmissionResult(session, self._limiter.hit(*due) if due else None, due)

    def _admit(self, session_id: str, charges: Charges, key: ValueKey) -> AdmissionResult:
        owner = self._owners.get(session_id, _NOBODY)
        by_owner = callable(charges) or self._limiter.depends_on_role(charges)
        must_match = by_owner or (callable(key) and owner.user_id is not None)
        is_match = 0
        while not is_match:
            due = self._due(charges, owner)
            names, arguments = self._limiter.command(due) if due else ([], [])
            value_key = _key_for(owner.user_id, key)
            expected = ("", "") if owner.user_id is None else prefixes(owner.user_id)
            server = self._values.server
            is_match, *reply = self._sessions.client.run(
                self._script,
                [keys.session(session_id), *names],
                [int(must_match), *expected, *self._values.arguments(value_key), *arguments],
            )
            if not is_match:
                owner = _Owner.of(read("", reply[0], 0)) if reply else _NOBODY
                # If there is no user, what is there is no session.
                must_match = owner.user_id is not None or not reply
        loaded, verdict, found = reply
        session = self._sessions.loaded(session_id, loaded)
        if by_owner or callable(key):
            self._remember(session_id, session)
        return AdmissionResult(
            session,
            self._limiter.decision(due, verdict) if due else None,
            due,
            self._values.read(value_key, found, server),
        )

    def _due(self, charges: Charges, owner: _Owner) -> tuple[Charge, ...]:
        found = charges(owner.user_id) if callable(charges) else charges
        return self._limiter.due(found, owner.role)

    def _remember(self, session_id: str, session: Session | None) -> None:
        with self._lock:
            if session is None:
                self._owners.pop(session_id, None)
                return
            self._owners[session_id] = _Owner.of(session)
            self._owners.move_to_end(session_id)
            if len(self._owners) > _MAX_KNOWN_SESSIONS:
                self._owners.popitem(last=False)


def _key_for(user_id: UserId | None, key: ValueKey) -> str | None:
    """The key of the value, if it is known."""
    if not callable(key):
        return key
    return None if user_id is None else key(user_id)
