"""A client that reports to OpenTelemetry, of which only the API is installed."""

from common.pyportal_common.cache_handlers import get_redis_client
from common.pyportal_common.otel import OpenTelemetryObserver

client = get_redis_client()
client.observe(OpenTelemetryObserver())
assert client.ping()
