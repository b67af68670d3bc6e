"""The Redis layer. Services import from here, and from nowhere below.

`RedisClient` is Redis, honest about outages. All else stands on it, and answers outages as
`resilience.OUTAGE` says. No Flask and no SQL in this package.
"""

from . import keys
from .admission import Admission, Gate
from .cache import Cache, CachedFunction, Fence
from .client import RedisClient
from .connections import Exchange, Greeting, client_for_a_library
from .decisions import Charge, Decision, OnError, RateLimit, Receipt
from .exceptions import RedisLayerError, RedisPoolExhausted, RedisUnavailable, RedisWriteRefused
from .idempotency import Begun, IdempotencyStore, InFlight, Mismatch, Reply, fingerprint_of
from .leases import Policy
from .observer import CacheEvent, Observer, Trip
from .rate_limits import Limiter
from .registry import close_redis_clients, get_redis_client
from .resilience import Breaker
from .scripts import Script
from .server_marker import ServerMarker
from .session_documents import (
    Revocation,
    Session,
    SessionChanged,
    SessionExists,
    SessionGone,
    SessionRevoked,
)
from .sessions import SessionStore, get_session_client
from .settings import RedisSettings

__all__ = [
    "Admission",
    "Begun",
    "Breaker",
    "Cache",
    "CacheEvent",
    "CachedFunction",
    "Charge",
    "Decision",
    "Exchange",
    "Fence",
    "Gate",
    "Greeting",
    "IdempotencyStore",
    "InFlight",
    "Limiter",
    "Mismatch",
    "Observer",
    "OnError",
    "Policy",
    "RateLimit",
    "Receipt",
    "RedisClient",
    "RedisLayerError",
    "RedisPoolExhausted",
    "RedisSettings",
    "RedisUnavailable",
    "RedisWriteRefused",
    "Reply",
    "Revocation",
    "Script",
    "ServerMarker",
    "Session",
    "SessionChanged",
    "SessionExists",
    "SessionGone",
    "SessionRevoked",
    "SessionStore",
    "Trip",
    "client_for_a_library",
    "close_redis_clients",
    "fingerprint_of",
    "get_redis_client",
    "get_session_client",
    "keys",
]
