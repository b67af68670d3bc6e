"""Caches: counts by kind, the consistency monitor, one key, and comparing values with SQL."""

from collections.abc import Sequence

from flask import Response
from pydantic import Field

from ...db import Actor
from ...db.consistency import Verification
from ...operations import CacheOperations, DatabaseOperations, KindOfKey, ReadCounts
from ...web.pages import Filter, printable, read_filter
from .acts import BackForm
from .console import Console, Plan, link
from .seen import Seen, look

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


def add_cache_pages(
    console: Console,
    caches: CacheOperations,
    databases: DatabaseOperations,
    read_counts: ReadCounts,
) -> None:
    """Add the pages about caches."""

    @console.page("/caches", navigation="Caches")
    def cache_list() -> Response:
        budget = read_filter(CacheSearch).budget
        counts = read_counts()

        def scan() -> tuple[int, Sequence[KindOfKey]]:
            return databases.size("caches"), caches.stats(counts, budget=budget)

        scanned = look(scan) if budget else Seen()
        size, found = scanned.value or (None, caches.stats(counts))
        known = {*caches.kinds, *counts.caches}
        return console.show(
            "caches.html",
            rows=[each for each in found if each.kind in known],
            others=[each for each in found if each.kind not in known][:_MAX_OTHERS],
            read=sum(each.keys or 0 for each in found),
            size=size,
            error=scanned.error,
            example=caches.examples[0],
            budget=budget,
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
