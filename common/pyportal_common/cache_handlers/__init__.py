"""The Redis layer. Services import from here, and from nowhere below.

`RedisClient` is Redis with bounds on time and errors that name outages. The features use it, and
each decides what an outage means: docs/redis.md has the table. No Flask and no SQL in this package.
"""

from . import keys
from .admission.admission import Admission, AdmissionResult
from .cache.cache import Cache, CachedFunction, Fence
from .cache.leases import Policy
from .cache.restarts import RestartDetector
from .client.breaker import Breaker
from .client.client import RedisClient
from .client.connections import ConnectHook, SendCommand, client_for_a_library
from .client.errors import RedisLayerError, RedisPoolExhausted, RedisUnavailable, RedisWriteRefused
from .client.observer import CacheEvent, Observer, Trip
from .client.registry import close_redis_clients, get_redis_client
from .client.scripts import Script
from .client.settings import RedisSettings
from .idempotency.store import Begun, IdempotencyStore, InFlight, Mismatch, Reply, fingerprint_of
from .rate_limits.limiter import Limiter
from .rate_limits.policy import Charge, Decision, OnError, RateLimit, Receipt
from .sessions.documents import (
    Revocation,
    Session,
    SessionChanged,
    SessionExists,
    SessionGone,
    SessionRevoked,
)
from .sessions.store import SessionStore, get_session_client

__all__ = [
    "Admission",
    "AdmissionResult",
    "Begun",
    "Breaker",
    "Cache",
    "CacheEvent",
    "CachedFunction",
    "Charge",
    "ConnectHook",
    "Decision",
    "Fence",
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
    "RestartDetector",
    "Revocation",
    "Script",
    "SendCommand",
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
