"""The paths of the services, and which of them the gateway sends where."""

import json
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

from .gateways import FILES
from .portal_api import PORTS

ROOT = Path(__file__).parent.parent

_ROUTES = """
import json, re
from wsgi import application
print(json.dumps([re.sub("<[^>]*>", "1", rule.rule) for rule in application.url_map.iter_rules()]))
"""


@cache
def routes(name: str) -> frozenset[str]:
    """The paths of a service, with 1 for each parameter."""
    done = subprocess.run(
        [sys.executable, "-c", _ROUTES],
        cwd=ROOT / f"{name}-service",
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )
    return frozenset(json.loads(done.stdout.splitlines()[-1]))


def service_for(path: str) -> str:
    """The service that the configuration names for a path."""
    text = (FILES / "nginx.conf").read_text("utf-8")
    [table] = re.findall(r"map \$uri \$service \{(.*?)\n    \}", text, re.DOTALL)
    lines = [line.split() for line in table.strip().splitlines()]
    assert [line[0] for line in lines].count("default") == 1
    found = [service for rule, service in lines if rule[0] == "~" and re.search(rule[1:], path)]
    [default] = [service for rule, service in lines if rule == "default"]
    chosen: str = (found or [default])[0]
    name, _, port = chosen.rstrip(";").partition("-service:")
    assert int(port) == PORTS[name]
    return name
