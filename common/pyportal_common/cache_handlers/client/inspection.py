"""What is wrong with a Redis database, found by trying."""

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import redis

from ..keys import PROBE, KeyKind
from .advice import advice_on
from .commands import Command, commands_for
from .errors import code_of, reply_of, says_outage
from .scripts import Script

_SELF_TEST = Script.load(__package__, "self_test")
_UNKNOWN_SHA = "0" * 40
_PROBE_MS = 1000
_OLDEST = (7, 0)


@dataclass(frozen=True, slots=True)
class Inspection:
    """What is wrong: a refusal, with its code, and `findings`, which refuse nothing."""

    code: str | None = None
    refusal: str = ""
    findings: tuple[str, ...] = ()

    def warnings(self, name: str) -> list[str]:
        """A line for each finding."""
        return [f"Redis {name}, {finding}" for finding in self.findings]

    def refusals(self, name: str) -> list[str]:
        """A line that says what is refused and what to do, if anything is."""
        if self.code is None:
            return []
        return [f"{refusal_line(name, self.refusal)}: {self.advice}"]

    @property
    def advice(self) -> str:
        """What to do about the refusal."""
        return advice_on(self.code or "", self.refusal)


def refusal_line(name: str, reply: str) -> str:
    """The message of a RedisRefused."""
    return f"Redis {name}, refuses commands: {reply.rstrip('.')}"


@dataclass(frozen=True, slots=True)
class _Denied:
    """A command that the server does not allow, with its kind of key, and the error reply."""

    command: Command
    reply: str

    @property
    def rule(self) -> str:
        """What is missing in the ACL; the name of a command that the server does not know."""
        if "nknown" in self.reply:
            return self.command.name
        if "key" in self.reply:
            return f"~{self.command.pattern}"
        return f"+{self.command.name.lower()}"


def inspect(connection: Any, kinds: Sequence[KeyKind]) -> Inspection:
    """Inspect a database in three round trips. Raises redis-py's errors if it is down."""
    denied: list[_Denied] = []

    def ask(*command: Any) -> Any:
        connection.send_command(*command)
        try:
            return connection.read_response()
        except redis.ResponseError as error:
            if code_of(error) != "NOPERM":
                raise
            denied.append(_Denied(Command(command[0]), reply_of(error)))
            return None

    try:
        server = _parse(ask("INFO") or "")
        if server.get("cluster_enabled") == "1":
            return Inspection("CLUSTER", "CLUSTER it is in cluster mode")
        denied += _self_test(ask, commands_for(kinds))
        _run_by_sha(ask)
    except redis.RedisError as error:
        if says_outage(error) or not isinstance(error, redis.ResponseError):
            raise
        return Inspection(code_of(error), reply_of(error))
    findings = tuple(_findings(server, kinds))
    if denied:
        return Inspection("NOPERM", _what_is_missing(denied, connection.username), findings)
    return Inspection(findings=findings)


def denied(connection: Any, commands: Iterable[Sequence[str]]) -> list[str]:
    """The names of the commands that the user may not send. Each is sent."""
    found = []
    for command in commands:
        connection.send_command(*command)
        try:
            connection.read_response()
        except redis.ResponseError as error:
            if code_of(error) != "NOPERM":
                raise
            found.append(command[0])
    return found


def _self_test(ask: Callable[..., Any], commands: Sequence[Command]) -> list[_Denied]:
    words = json.dumps([command.words for command in commands])
    reply = ask("EVAL", _SELF_TEST.text, 0, PROBE, _PROBE_MS, words) or []
    numbered = [Command("SET", PROBE), *commands]
    pairs = zip(reply[::2], reply[1::2], strict=True)
    return [_Denied(numbered[number], text) for number, text in pairs]


def _run_by_sha(ask: Callable[..., Any]) -> None:
    try:
        ask("EVALSHA", _UNKNOWN_SHA, 0)
    except redis.exceptions.NoScriptError:
        return


def _what_is_missing(denied: Iterable[_Denied], username: str | None) -> str:
    rules = list(dict.fromkeys(each.rule for each in denied))
    permissions = " ".join(rule for rule in rules if rule[0] in "+~")
    unknown = " ".join(rule for rule in rules if rule[0] not in "+~")
    parts = []
    if permissions:
        parts.append(f"NOPERM user {username or 'default'} lacks {permissions}")
    if unknown:
        parts.append(f"unknown command {unknown}")
    return "; ".join(parts)


def _findings(server: dict[str, str], kinds: Sequence[KeyKind]) -> Iterable[str]:
    version = server.get("redis_version", "7.0")
    if _number(version) < _OLDEST:
        yield f"is version {version}, but 7.0 is the oldest that is supported: upgrade it"
    if server.get("role") == "slave":
        yield "is a replica: connect to the master"
    policy = server.get("maxmemory_policy", "noeviction")
    keeps_sessions = any(kind.database == "sessions" for kind in kinds)
    if server.get("maxmemory", "0") != "0" and policy != "noeviction" and keeps_sessions:
        yield (
            f"evicts sessions when its memory is full, by its maxmemory-policy {policy}:"
            " set `maxmemory-policy noeviction`, or keep sessions on another server"
            " with SESSION_REDIS_URL"
        )


def _number(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".")[:2] if part.isdigit())


def _parse(info: str) -> dict[str, str]:
    lines = (line.partition(":") for line in info.splitlines())
    return {name: value for name, separator, value in lines if separator}
