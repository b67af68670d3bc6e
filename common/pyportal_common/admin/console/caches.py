"""Caches: counts by kind, the consistency monitor, one key, and comparing values with SQL."""

from dataclasses import dataclass
from itertools import islice

from flask import Response
from pydantic import Field

from ...db import Actor
from ...db.consistency import Verification
from ...metrics import collected
from ...operations import CacheOperations, DatabaseOperations, KindOfKey
from ...operations.event_counts import CacheCounts, cache_counts
from ...web.metrics import Metrics
from .acts import BackForm
from .console import Console, Plan, link
from .filters import printable
from .forms import Filter, read_filter
from .seen import look

_MAX_KEY = 500  # characters
_MAX_KEYS = 100_000  # that a page reads
_MAX_OTHERS = 20  # kinds of key


class CacheSearch(Filter):
    """The query of the list of caches. With a budget so many keys are read and counted."""

    budget: int | None = Field(None, ge=1, le=_MAX_KEYS)


class KeySearch(Filter):
    """The query of the page about a key."""

    key: str | None = Field(None, max_length=_MAX_KEY)


class VerifySearch(Filter):
    """The query of the comparison with SQL. Nothing is compared without a limit."""

    cache: str | None = Field(None, max_length=100)
    limit: int | None = Field(None, ge=1, le=2000)


class KeyForm(BackForm):
    """Which key an act concerns."""

    key: str = Field(max_length=_MAX_KEY)


@dataclass(frozen=True, slots=True)
class KeysRead:
    """What a SCAN has found: the keys of caches, and the most frequent other kinds."""

    caches: dict[str, KindOfKey]
    others: list[KindOfKey]
    read: int
    size: int
    """How many keys the database has."""


def add_cache_pages(
    console: Console, caches: CacheOperations, databases: DatabaseOperations, metrics: Metrics
) -> None:
    """Add the pages about caches."""

    def read_keys(budget: int) -> KeysRead:
        size = databases.size("caches")
        found = caches.stats(budget=budget)
        mine = {each.kind: each for each in found if each.kind in caches.kinds}
        others = list(islice((each for each in found if each.kind not in mine), _MAX_OTHERS))
        return KeysRead(mine, others, sum(each.keys for each in found), size)

    @console.page("/caches", navigation="Caches")
    def cache_list() -> Response:
        budget = read_filter(CacheSearch).budget
        counts = cache_counts(collected(metrics.registry))
        return console.show(
            "caches.html",
            rows={name: counts.get(name, CacheCounts()) for name in [*caches.kinds, *counts]},
            stale={name: each for name, each in counts.items() if each.stale_seconds},
            example=caches.examples[0],
            budget=budget,
            counted=look(lambda: read_keys(budget)) if budget else None,
        )

    @console.page("/caches/key")
    def cached_key() -> Response:
        key = read_filter(KeySearch).key
        if not key:
            return console.show("cache_key.html", key=None, found=None, caches=caches)
        found = look(lambda: caches.show(key))
        next_read = found.value.next_read if found.value else caches.explain(key)
        return console.show(
            "cache_key.html",
            503 if found.error else 200,
            key=key,
            found=found,
            next_read=next_read,
            caches=caches,
        )

    @console.page("/caches/verify")
    def verify() -> Response:
        wanted = read_filter(VerifySearch)
        found = look(lambda: compare(wanted)) if wanted.limit else None
        status = 503 if found and found.error else 200
        return console.show(
            "cache_verify.html", status, wanted=wanted, kinds=caches.kinds, found=found
        )

    def compare(wanted: VerifySearch) -> Verification:
        some = [wanted.cache] if wanted.cache else []
        return caches.verify(caches=some, limit=wanted.limit or 1, budget=_MAX_KEYS)

    @console.act("/caches/invalidate", KeyForm)
    def invalidate(form: KeyForm) -> Plan:
        def act(actor: Actor) -> str:
            caches.invalidate(actor, form.key)
            return f"Invalidated {printable(form.key)}"

        return Plan(
            f"Invalidate {printable(form.key)}?",
            "Invalidate",
            act,
            form.back_or(link("/caches/key", key=form.key)),
            count=caches.show(form.key).count,
            explanation="The next read loads the value from SQL.",
        )
