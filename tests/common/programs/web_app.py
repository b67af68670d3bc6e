"""A Flask app with the extension."""

import subprocess
import sys
from pathlib import Path

from flask import Flask

from common.pyportal_common.extension import Portal

app = Flask(__name__)
app.config["PORTAL_SESSION"] = True
portal = Portal(app)


@app.get("/forecast/<city>")
@portal.limit("2/minute")
@portal.cached("forecast:{city}", ttl=30)
def forecast(city: str) -> dict[str, str]:
    """The weather of a city."""
    return {"city": city}


@app.post("/login")
def log_in() -> str:
    """Log in as user 7."""
    portal.login(7)
    return "welcome"


@app.get("/me")
def me() -> dict[str, int | str | None]:
    """The user who is logged in."""
    return {"user": portal.user_id}


client = app.test_client()
assert [client.get("/forecast/Rome").status_code for _ in range(3)] == [200, 200, 429]
client.post("/login")
assert client.get("/me").json == {"user": 7}
with app.app_context():
    assert portal.cache.get("forecast:Rome") == {"city": "Rome"}
assert not {"sqlalchemy", "prometheus_client"} & set(sys.modules)

# An entry point adds `flask portal` to every app.
Path("other.py").write_text("from flask import Flask\n\napp = Flask(__name__)\n")
command = [sys.executable, "-m", "flask", "--app", "other", "portal", "check"]
result = subprocess.run(command, capture_output=True, text=True, check=False)
assert result.returncode == 0, result.stderr
assert result.stdout.endswith("can be used\n"), result.stdout
