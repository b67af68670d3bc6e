"""What `doctor` checks of a Redis database."""

import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from ..cache_handlers import Inspection, Master, RedisClient, keys
from ..findings import Finding

_MAX_SKEW_SECONDS = 2.0
_MAX_FULL = 0.9
_SAMPLED_KEYS = 2000

# Commands that the inspection cannot try: see client/commands.py. Without effect.
_BY_HAND = (("BZPOPMIN", keys.job_hint("pyportal-self-test"), "0.01"), ("SLOWLOG", "GET", "0"))

_MAX_LAG_SECONDS = 10

_SAVES = ("aof_last_write_status", "aof_last_bgrewrite_status", "rdb_last_bgsave_status")


def check_database(
    name: str, client: RedisClient, service: str, clock: Callable[[], float] = time.time
) -> Iterator[Finding]:
    """What is wrong with a Redis database: "caches" or "sessions". Raises RedisUnavailable.

    Permissions, the version, the number of the database, the clock, memory, eviction, persistence,
    and the keys of others.
    """
    check = f"redis {name}"
    inspection = client.inspect()
    for text, remedy in _inspected(inspection):
        yield Finding(check, "wrong", text, remedy)
    if inspection.code not in {None, "NOPERM"}:  # every other command would get the same answer
        return
    for text, remedy in _forbidden(client):
        yield Finding(check, "wrong", text, remedy)
    client.execute("TIME")  # on a new connection, which takes longer
    began = time.monotonic()
    seconds, microseconds = client.execute("TIME")
    took = (time.monotonic() - began) * 1000
    skew = abs(clock() - int(seconds) - int(microseconds) / 1e6)
    info = client.execute("INFO")
    version = f"Redis {info.get('redis_version', 'of an unknown version')}"
    yield Finding(check, "ok", f"{version} at {client.name} answers", milliseconds=took)
    if skew > _MAX_SKEW_SECONDS:
        yield Finding(check, "wrong", f"its clock is {skew:.0f} s off ours", "synchronize clocks")
    if client.master is not None:
        yield from _replication(check, client.master, info)
    found = [*_memory(info), *_persistence(info, is_of_sessions=name == "sessions")]
    if name == "caches":
        found += _keys_of_others(client, service)
    for text, remedy in found:
        yield Finding(check, "wrong", text, remedy)


Found = Iterator[tuple[str, str]]  # what is wrong, and what to do


def _inspected(found: Inspection) -> Found:
    if found.code is not None:
        yield found.refusal, found.advice
    for line in found.findings:
        text, _, remedy = line.partition(": ")
        yield text, remedy


def _forbidden(client: RedisClient) -> Found:
    denied = client.denied(_BY_HAND)
    if denied:
        rules = " ".join(f"+{word.lower()}" for word in denied)
        yield f"NOPERM the user lacks {rules}", "add what is missing to the user in the ACL"


def _replication(check: str, master: Master, info: Mapping[str, Any]) -> Iterator[Finding]:
    """The replicas of the master, and the sentinels that would replace it."""
    replicas = [info[f"slave{number}"] for number in range(int(info.get("connected_slaves", 0)))]
    lags = {f"{each['ip']}:{each['port']}": int(each["lag"]) for each in replicas}
    host, port = master.find()
    shown = ", ".join(f"{name} {lag} s ago" for name, lag in lags.items())
    heard = f"last heard from its replicas: {shown}" if lags else "without a replica"
    yield Finding(
        check,
        "ok" if lags else "wrong",
        f"the master is {host}:{port}, {heard}",
        "" if lags else "start a replica: none can take its place",
    )
    for name in (name for name, lag in lags.items() if lag > _MAX_LAG_SECONDS):
        yield Finding(check, "wrong", f"the replica {name} is behind", "see its log")
    silent = master.silent()
    if silent:
        text = f"sentinels do not answer: {', '.join(silent)}"
        yield Finding(check, "wrong", text, "start them: most must agree to replace the master")


def _memory(info: Mapping[str, Any]) -> Found:
    used, most = int(info.get("used_memory", 0)), int(info.get("maxmemory", 0))
    if used > _MAX_FULL * most > 0 and info.get("maxmemory_policy") == "noeviction":
        yield f"its memory is {used / most:.0%} full", "raise its maxmemory, or remove keys"


def _persistence(info: Mapping[str, Any], *, is_of_sessions: bool) -> Found:
    if is_of_sessions and not int(info.get("aof_enabled", 1)):
        yield "a restart ends all sessions: it has no append-only file", "set `appendonly yes`"
    for name in _SAVES:
        if info.get(name, "ok") != "ok":
            yield (
                f"it cannot write to its disk: {name} is {info[name]}",
                "free its disk: see its log",
            )


def _keys_of_others(client: RedisClient, service: str) -> Found:
    """Services that use the same database would invalidate the caches of each other."""
    others = {
        kind.pattern: kind.service
        for kind in keys.KINDS
        if kind.database == "caches" and kind.service not in {None, service}
    }
    for key in client.scan(budget=_SAMPLED_KEYS):
        owner = others.get(f"{keys.kind_of(key)}:*")
        if owner is not None:
            yield f"{owner} has its caches in this database, too", "give each its own REDIS_DB"
            return
