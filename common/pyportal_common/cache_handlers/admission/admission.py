"""Who may pass: the session of a request and all of its limits, in one round trip."""

import json
import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

from .. import keys
from ..client.errors import RedisUnavailable
from ..client.scripts import Script
from ..rate_limits.limiter import Limiter
from ..rate_limits.policy import Charge, Decision, RateLimit
from ..sessions.documents import Session, UserId, beginnings_of
from ..sessions.store import SessionStore

_REMEMBERED = 10_000  # sessions


@dataclass(frozen=True, slots=True)
class AdmissionResult:
    """What came of it: the session, if there is one, and the decision, if anything limits."""

    session: Session | None
    decision: Decision | None

    @property
    def allowed(self) -> bool:
        """Whether the limits let the request pass."""
        return self.decision is None or self.decision.allowed


class Admission:
    """Loads a session, begins its idle time anew, and spends limits: all of them, or none.

    Limits on an address apply whatever the session is; limits on the user need one. Which user that
    is has to be said before the script runs, because a script must name its keys; so the gate
    remembers whose the sessions are that it has seen, and the script says so where that is not so.

    One round trip; two for a user's own limits on a session that this process sees for the first
    time, and where sessions and limits are not in the same Redis database.
    """

    def __init__(self, limiter: Limiter, sessions: SessionStore) -> None:
        self._limiter = limiter
        self._sessions = sessions
        self._together = limiter.client is sessions.client
        self._script = Script.load(__package__, "admission").calling(
            window=limiter.script, session_load=sessions.load_script
        )
        self._lock = threading.Lock()
        self._users: OrderedDict[str, UserId] = OrderedDict()

    def admit(
        self, session_id: str, charges: Sequence[Charge], own: Sequence[RateLimit] = ()
    ) -> AdmissionResult:
        """The session, and whether the `charges` and the user's `own` limits let it pass.

        Raises RedisUnavailable in an outage, after the limits have been counted in this process.
        """
        if not charges and not own:
            return AdmissionResult(self._sessions.load(session_id), None)
        try:
            if self._together:
                return self._admit(session_id, tuple(charges), own)
            return self._admit_apart(session_id, tuple(charges), own)
        except RedisUnavailable:
            decision = self._limiter.hit(*charges) if charges else None
            if decision is not None and not decision.allowed:
                return AdmissionResult(None, decision)
            raise

    def _admit(
        self, session_id: str, charges: tuple[Charge, ...], own: Sequence[RateLimit]
    ) -> AdmissionResult:
        user_id = self._users.get(session_id)
        if own and user_id is None:
            session = self._sessions.load(session_id, touch=False)
            if session is None:
                own = ()
            else:
                user_id = self._remember(session)
        return self._ask(session_id, charges, own, user_id)

    def _ask(
        self,
        session_id: str,
        charges: tuple[Charge, ...],
        own: Sequence[RateLimit],
        user_id: UserId | None,
    ) -> AdmissionResult:
        mine = tuple(Charge(rate_limit, keys.user(user_id or 0)) for rate_limit in own)
        names, arguments = self._limiter.command(charges + mine)
        told, *answer = self._sessions.client.run(
            self._script,
            [keys.session(session_id), *names],
            [len(mine), *beginnings_of(user_id or 0), *arguments],
        )
        if not told:  # the id has become another user's
            user_id = json.loads(answer[0])["user_id"]
            return self._ask(session_id, charges, own, user_id)
        loaded, tried, verdict = answer
        session = self._sessions.loaded(session_id, loaded)
        if session is not None and own:
            self._remember(session)
        charged = (charges + mine)[:tried]
        decision = self._limiter.decision(charged, verdict) if charged else None
        return AdmissionResult(session, decision)

    def _admit_apart(
        self, session_id: str, charges: tuple[Charge, ...], own: Sequence[RateLimit]
    ) -> AdmissionResult:
        session = self._sessions.load(session_id)
        if session is not None:
            charges += tuple(Charge(rate_limit, keys.user(session.user_id)) for rate_limit in own)
        return AdmissionResult(session, self._limiter.hit(*charges) if charges else None)

    def _remember(self, session: Session) -> UserId:
        with self._lock:
            self._users[session.session_id] = session.user_id
            self._users.move_to_end(session.session_id)
            if len(self._users) > _REMEMBERED:
                self._users.popitem(last=False)
        return session.user_id
