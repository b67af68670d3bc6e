"""The Redis layer. Other packages import from here and not from its modules.

`RedisClient` is Redis with short timeouts and errors that name outages. The features are built on
it, and each decides what an outage means: see the table in docs/redis.md. This package contains
neither Flask nor SQL.
"""

from . import keys
from .admission.admission import Admission, Charges, ValueKey
from .cache.cache import Cache
from .cache.cached_function import CachedFunction
from .cache.fences import Fence, Fill
from .cache.json_values import JsonValue
from .cache.policy import Policy
from .cache.read_ahead import ReadAhead, hold
from .cache.removal import PendingKeys, Removal
from .cache.restarts import RestartDetector
from .cache.shapes import Bytes, Document, DocumentArray, Number, Shape
from .cache.stored_values import StoredValues
from .cache.trust import Trust
from .client.breaker import Breaker, Status
from .client.client import RedisClient
from .client.connections import SendCommand, blocking_client, master_of
from .client.errors import (
    KNOWN_CODES,
    RedisLayerError,
    RedisPoolExhausted,
    RedisRefused,
    RedisUnavailable,
    is_outage,
    outage_in,
)
from .client.inspection import Inspection
from .client.key_events import KeyEvent, KeyEvents
from .client.observer import AuditOutcome, CacheEvent, Observer, Trip
from .client.registry import close_redis_clients, get_redis_client
from .client.scripts import Script
from .client.sentinel import MASTER_KNOWN_FOR_SECONDS, Master
from .client.server_check import ServerReport, check_server
from .client.settings import OwnDatabase, RedisSettings, SessionSettings
from .client.troubles import State
from .rate_limits.limiter import Limiter
from .rate_limits.overrides import Overrides, declared_in
from .rate_limits.policy import Charge, Decision, OnError, RateLimit, Usage
from .sessions.documents import (
    Revocation,
    Session,
    SessionChanged,
    SessionExists,
    SessionGone,
    SessionRevoked,
    UserId,
)
from .sessions.store import SessionLimits, SessionStore, get_session_client
from .stores import Stores

__all__ = [
    "KNOWN_CODES",
    "MASTER_KNOWN_FOR_SECONDS",
    "Admission",
    "AuditOutcome",
    "Breaker",
    "Bytes",
    "Cache",
    "CacheEvent",
    "CachedFunction",
    "Charge",
    "Charges",
    "Decision",
    "Document",
    "DocumentArray",
    "Fence",
    "Fill",
    "Inspection",
    "JsonValue",
    "KeyEvent",
    "KeyEvents",
    "Limiter",
    "Master",
    "Number",
    "Observer",
    "OnError",
    "Overrides",
    "OwnDatabase",
    "PendingKeys",
    "Policy",
    "RateLimit",
    "ReadAhead",
    "RedisClient",
    "RedisLayerError",
    "RedisPoolExhausted",
    "RedisRefused",
    "RedisSettings",
    "RedisUnavailable",
    "Removal",
    "RestartDetector",
    "Revocation",
    "Script",
    "SendCommand",
    "ServerReport",
    "Session",
    "SessionChanged",
    "SessionExists",
    "SessionGone",
    "SessionLimits",
    "SessionRevoked",
    "SessionSettings",
    "SessionStore",
    "Shape",
    "State",
    "Status",
    "StoredValues",
    "Stores",
    "Trip",
    "Trust",
    "Usage",
    "UserId",
    "ValueKey",
    "blocking_client",
    "check_server",
    "close_redis_clients",
    "declared_in",
    "get_redis_client",
    "get_session_client",
    "hold",
    "is_outage",
    "keys",
    "master_of",
    "outage_in",
]
