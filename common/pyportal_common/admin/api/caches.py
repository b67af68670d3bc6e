"""Cached values. They are never shown."""

from collections.abc import Mapping

from flask import Blueprint, Response
from pydantic import Field

from ...cache_handlers import keys
from ...operations import CacheOperations, ReadCounts
from ...web import Page, Schema, View, body, current_actor, query, respond, responses
from ..guard import Guard
from .acts import Budget
from .choices import narrowed
from .lists import Text, respond_all

_SCANNED = 200_000  # keys that `verify` reads at most


class CacheSearch(Schema):
    """The query of the kinds of keys."""

    budget: Budget = 10_000


class KindOfKeyOut(View):
    """A kind of key, and what was counted of a cache since the service started."""

    kind: Text = Field(examples=["user"])
    keys: int
    mean_bytes: int | None = Field(description="Of some values; null if it has none of a cache.")
    reads: int | None = Field(description="Null if nothing was counted.")
    hit_ratio: float | None = Field(description="Null without reads.")
    events: Mapping[str, int] = Field(examples=[{"hit": 90, "miss": 10, "load": 10}])
    audits: Mapping[str, int] = Field(
        description="Values that the consistency monitor compared with SQL, by outcome.",
        examples=[{"same": 120}],
    )
    stale_seconds: float = Field(description="Of the oldest known stale value, else 0.")


class CachedValueOut(View):
    """What Redis holds at a key, without the value."""

    key: Text = Field(examples=[keys.user(7)])
    bytes: int | None = Field(description="The size of the value; null if there is none.")
    ttl_seconds: float | None
    is_being_loaded: bool
    is_fenced: bool = Field(description="Whether a writer is about to change it.")
    next_read: str = Field(description="What a read does now.")


class Verifying(Schema):
    """Which values are compared."""

    caches: list[str] = Field([], max_length=20, description="Only these kinds.")
    limit: int = Field(1000, ge=1, le=5000, description="The largest number of values.")


class StaleValueOut(View):
    """A stale value."""

    cache: str = Field(examples=["user"])
    key: Text = Field(examples=[keys.user(7)])
    digest: str = Field(description="Of the key, as in the log.")


class VerificationOut(View):
    """How many values had each outcome, and which are stale."""

    outcomes: Mapping[str, int] = Field(examples=[{"same": 120, "stale": 0}])
    stale: list[StaleValueOut]
    is_complete: bool = Field(description="Whether every value was compared.")


def cache_routes(caches: CacheOperations, read_counts: ReadCounts, admin: Guard) -> Blueprint:
    """The routes about caches."""
    routes = Blueprint("caches", __name__, url_prefix="/caches")

    @routes.get("")
    @admin
    @query(CacheSearch)
    @responses(Page[KindOfKeyOut])
    def list_kinds_of_keys(query: CacheSearch) -> Response:
        """Count the keys of each kind, and the reads of each cache.

        Only a part of a large database is read.
        """
        return respond_all(KindOfKeyOut, caches.stats(read_counts(), budget=query.budget))

    @routes.get("/<key:key>")
    @admin
    @responses(CachedValueOut, problems=[404])
    def show_cached_value(key: str) -> Response:
        """Show the size and age of a cached value, and what the next read does.

        A key such as `user:7`. The sign % of a key is sent as %25.
        """
        return respond(CachedValueOut.model_validate(caches.show(key)))

    @routes.delete("/<key:key>")
    @admin
    @responses(status=204, problems=[404])
    def invalidate_cached_value(key: str) -> Response:
        """Remove a cached value, as a commit that changes its row does."""
        caches.invalidate(current_actor(), key)
        return Response(status=204)

    @routes.post("/verify")
    @admin
    @body(narrowed(Verifying, caches=caches.kinds))
    @responses(VerificationOut)
    def verify_caches(body: Verifying) -> Response:
        """Compare cached values with SQL, and change nothing.

        If some differ, the response takes two seconds longer.
        """
        found = caches.verify(caches=body.caches, limit=body.limit, budget=_SCANNED)
        return respond(VerificationOut.model_validate(found))

    return routes
