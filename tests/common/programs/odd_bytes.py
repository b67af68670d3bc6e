"""Bytes that are not UTF-8, with and without the parser in C."""

from common.pyportal_common.cache_handlers import get_redis_client

client = get_redis_client()
client.set("odd", "\udcff \u20ac", ttl=60)
assert client.get("odd") == "\udcff \u20ac"
assert client.execute("GETRANGE", "odd", 0, 0) == "\udcff"
