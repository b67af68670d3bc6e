"""The version on the three extensions with the settings of theirs that help in the table of faults.

The timeouts of their clients are in the REDIS_URL that the program of that table sets.
"""

from cachelib.serializers import JSONSerializer
from flask import Flask
from werkzeug.datastructures import ImmutableDict

Flask.default_config = ImmutableDict(
    {
        **Flask.default_config,
        "CACHE_SERIALIZER": JSONSerializer,
        "RATELIMIT_STRATEGY": "moving-window",
        "RATELIMIT_IN_MEMORY_FALLBACK_ENABLED": True,
        "SESSION_SERIALIZATION_FORMAT": "json",
        "SESSION_REFRESH_EACH_REQUEST": False,
    }
)

from .peers import app  # noqa: E402  it is made with this configuration

__all__ = ["app"]
