"""A test that uses a throwaway server, whose fixture pytest finds by an entry point."""

import subprocess
import sys
from pathlib import Path

TEST = """
from common.pyportal_common.cache_handlers import RedisClient, RedisSettings

def test_it(redis_server, own_redis):
    client = RedisClient.connect(RedisSettings.load(url=redis_server.url), db=0)
    client.set("flight:7", "10", ttl=60)
    assert client.get("flight:7") == "10"
    client.close()
    own_redis.kill()

def test_another(redis_server):
    client = RedisClient.connect(RedisSettings.load(url=redis_server.url), db=0)
    assert client.get("flight:7") is None
    client.close()
"""

Path("test_it.py").write_text(TEST)
command = [sys.executable, "-m", "pytest", "-q", "-W", "error", "test_it.py"]
result = subprocess.run(command, capture_output=True, text=True, check=False)
assert "2 passed" in result.stdout, result.stdout
