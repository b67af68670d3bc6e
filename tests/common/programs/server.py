"""The embedded Redis server."""

from pathlib import Path

from common.pyportal_common.cache_handlers import Cache, RedisClient, RedisSettings
from common.pyportal_common.redis_server import RedisServer, embedded_server

binary = embedded_server()
assert binary is not None
server = RedisServer(binary, Path("redis"))
server.start()
client = RedisClient.connect(RedisSettings.load(url=server.url), db=0)
assert Cache(client).put("flight:7", 10, ttl=60) is True
assert Cache(client).get("flight:7") == 10
client.close()
server.stop()
