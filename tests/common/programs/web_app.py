"""A Flask app with the cache and a rate limit, without SQL."""

import subprocess
import sys
from pathlib import Path

from flask import Flask, jsonify
from flask.typing import ResponseReturnValue

from common.pyportal_common.cache_handlers import (
    Cache,
    Charge,
    Limiter,
    Policy,
    RateLimit,
    get_redis_client,
)

app = Flask(__name__)
cache = Cache(get_redis_client())
limiter = Limiter(get_redis_client(), service="example")
per_minute = RateLimit("forecast", limit=2, window=60)


@app.get("/forecast/<city>")
def forecast(city: str) -> ResponseReturnValue:
    """The weather of a city."""
    if not limiter.hit(Charge(per_minute, "127.0.0.1")).allowed:
        return jsonify(error="too many requests"), 429
    return jsonify(cache.get_or_load(f"forecast:{city}", lambda: {"city": city}, Policy(ttl=30)))


client = app.test_client()
assert [client.get("/forecast/Rome").status_code for _ in range(3)] == [200, 200, 429]
assert cache.get("forecast:Rome") == {"city": "Rome"}
assert "sqlalchemy" not in sys.modules

# An entry point adds `flask portal` to every app.
Path("other.py").write_text("from flask import Flask\n\napp = Flask(__name__)\n")
command = [sys.executable, "-m", "flask", "--app", "other", "portal", "check"]
result = subprocess.run(command, capture_output=True, text=True, check=False)
assert result.returncode == 0, result.stderr
assert result.stdout.endswith("can be used\n"), result.stdout
