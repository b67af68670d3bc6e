"""The index of a user's sessions. It is read in parts."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from .. import keys
from ..client.client import RedisClient
from ..client.connections import SendCommand
from ..client.errors import RedisRefused
from ..client.repairs import RepairLog
from ..client.scripts import Script
from ..client.values import Value
from .documents import Revocation, Session, UserId, digest_of, moment, prefixes, read

KEYS_AT_ONCE = 100
"""About how many sessions one script reads, so that it does not hold the server."""

UNINDEXED = "unindexed"
"""The reply of scripts that refuse an index of another type."""

_ATTEMPTS = 3


class UserIndex:
    """Lists and revokes the sessions of a user by an index.

    An index of another type is rebuilt from the sessions in Redis, so that none is forgotten.
    `send` sends a command, as in SessionStore.revoke_as; None for the client's.
    """

    def __init__(self, client: RedisClient) -> None:
        self._client = client
        self._repairs = RepairLog()
        self._members, self._list, self._revoke_all = (
            session_script(name) for name in ("members", "list", "revoke_all")
        )
        self._index = session_script("index")
        self._spare_script = session_script("spare")

    def list(self, user_id: UserId) -> list[Session]:
        """The current sessions. Two round trips for each hundred."""
        members = self._members_of(user_id, None)
        return [
            replace(session, last_used_at=moment(used_at) if used_at >= 0 else None)
            for member, text, ttl_ms, used_at in self._read(user_id, members, None)
            if (session := read(keys.session_of_member(member), text, ttl_ms)) is not None
        ]

    def revoke(self, revocation: Revocation, remember_ms: int, send: SendCommand | None) -> int:
        """End sessions of older auth epochs, after raising the epoch. Returns how many ended.

        Raising it is enough, because an older session is not loaded any more.
        """
        user_id, epoch = revocation.user_id, revocation.auth_epoch
        if revocation.spared:
            self._spare(revocation, send)
        members = self._members_of(user_id, send, epoch, remember_ms)
        to_end = [one for one in members if digest_of(one) != revocation.spared]
        names = [keys.user_sessions(user_id), keys.ENDED_SESSIONS]
        args = [*prefixes(user_id), keys.SESSION_PREFIX]
        return sum(
            int(self._run(self._revoke_all, names, [epoch, *args, *part], send))
            for part in _parts(to_end)
        )

    def _spare(self, revocation: Revocation, send: SendCommand | None) -> None:
        """Raise the epoch of the spared session, before that of the user."""
        args: list[Value] = [revocation.auth_epoch, *prefixes(revocation.user_id)]
        for member in self._members_of(revocation.user_id, send):
            if digest_of(member) == revocation.spared:
                self._run(self._spare_script, [keys.SESSION_PREFIX + member], args, send)

    def rebuild(self, user_id: UserId, send: SendCommand | None = None) -> None:
        """Replace an index of another type. Reads the keys of all sessions in Redis."""
        kind, _, _ = keys.user_sessions(user_id).rpartition(":")
        self._repairs.record(kind, "the index is rebuilt from the sessions")
        entries: list[tuple[int, str]] = []
        for part in self._all_members(send):
            for member, text, ttl_ms, _ in self._read(user_id, part, send):
                session = read(member, text, ttl_ms)  # one that cannot be read is no session
                if session is not None:
                    entries.append((round(session.expires_at.timestamp() * 1000), member))
        for some in _parts(entries) or [()]:  # an index of no sessions is removed
            words = [word for entry in some for word in entry]
            self._run(self._index, [keys.user_sessions(user_id)], words, send)

    def _members_of(
        self, user_id: UserId, send: SendCommand | None, *raised_epoch: int
    ) -> Sequence[str]:
        """All members of the index, after raising the epoch if one is given."""
        for _ in range(_ATTEMPTS):
            found = self._scan_index(user_id, send, raised_epoch)
            if found is not None:
                return found
            self.rebuild(user_id, send)
        message = "Redis holds an index of sessions that cannot be repaired"
        raise RedisRefused(message, code="WRONGTYPE")

    def _scan_index(
        self, user_id: UserId, send: SendCommand | None, raised_epoch: tuple[int, ...]
    ) -> Sequence[str] | None:
        """The members, or None for an index of another type.

        ZSCAN returns every member that is there from start to end, whatever is added and removed.
        """
        names = [keys.user_sessions(user_id)]
        if raised_epoch:
            names.append(keys.auth_epoch(user_id))
        members: dict[str, None] = {}  # a member may be returned twice
        cursor = 0
        while True:
            reply = self._run(self._members, names, [cursor, KEYS_AT_ONCE, *raised_epoch], send)
            if reply == UNINDEXED:
                return None
            cursor = int(reply[0])
            members.update(dict.fromkeys(reply[1:]))
            if cursor == 0:
                return list(members)

    def _all_members(self, send: SendCommand | None) -> Iterator[Sequence[str]]:
        """The members of the index of every user, in parts."""
        send = send or self._client.execute
        pattern, cursor = f"{keys.SESSION_PREFIX}*", 0
        while True:
            reply = send("SCAN", cursor, "MATCH", pattern, "COUNT", KEYS_AT_ONCE)
            cursor = int(reply[0])
            yield [key.removeprefix(keys.SESSION_PREFIX) for key in reply[1]]
            if cursor == 0:
                return

    def _read(
        self, user_id: UserId, members: Sequence[str], send: SendCommand | None
    ) -> Iterator[tuple[str, str, int, int]]:
        """Of those that are sessions of the user: what the script `list` returns."""
        names, args = [keys.user_sessions(user_id)], [*prefixes(user_id), keys.SESSION_PREFIX]
        for part in _parts(members):
            reply = self._run(self._list, names, [*args, *part], send)
            yield from zip(*(reply[n::4] for n in range(4)), strict=True)

    def _run(
        self, script: Script, names: Sequence[str], args: Sequence[Value], send: SendCommand | None
    ) -> Any:
        # redis-py's packer refuses text that stands for bytes that are not UTF-8.
        words = [
            each.encode("utf-8", "surrogateescape") if isinstance(each, str) else each
            for each in args
        ]
        if send is None:
            return self._client.run(script, names, words)
        return send("EVAL", script.text, len(names), *names, *words)


def session_script(name: str) -> Script:
    """A script of this package, with the functions that all of them share."""
    return Script.load(__package__, "documents", name)


def _parts(items: Sequence[Any]) -> list[Sequence[Any]]:
    starts = range(0, len(items), KEYS_AT_ONCE)
    return [items[start : start + KEYS_AT_ONCE] for start in starts]
