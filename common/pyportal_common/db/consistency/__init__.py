"""Compares what Redis holds with SQL: the consistency monitor, and `cache verify`."""

from .kinds import CacheKind
from .monitor import CacheMonitor
from .verification import CacheVerifier, StaleValue, Verification

__all__ = ["CacheKind", "CacheMonitor", "CacheVerifier", "StaleValue", "Verification"]
