"""The variables that the services read, by the settings classes that are loaded with their code."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parent.parent

# In a process of its own, because three packages are called `app`.
_LIST = """
import json
import app.services
import common.pyportal_common.gunicorn.settings
from common.pyportal_common.secret_files import is_secret
from common.pyportal_common.settings import Settings

def leaves(settings):
    derived = settings.__subclasses__()
    return [leaf for each in derived for leaf in leaves(each)] if derived else [settings]

found = {}
for settings in leaves(Settings):
    prefix = settings.model_config.get("env_prefix", "")
    for name, field in settings.model_fields.items():
        found[f"{prefix}{name}".upper()] = (settings.__name__, is_secret(field))
print(json.dumps(found))
"""

# Of apps that use the extension; the services decide these in code.
_OF_OTHER_APPS = "PortalSettings"

# A service loads the class, and never does what the variable is for.
_WITHOUT_EFFECT = {
    "taskprocessing": {"SESSION_MAX_PER_USER"},
    "notification": {"SESSION_MAX_PER_USER"},
}


@dataclass(frozen=True)
class Variable:
    """A variable, and the settings class that has it."""

    name: str
    settings: str
    is_secret: bool


@cache
def variables_of(service: str) -> tuple[Variable, ...]:
    """All variables that a service and its worker read."""
    done = subprocess.run(
        [sys.executable, "-c", _LIST],
        cwd=ROOT / f"{service}-service",
        env={**os.environ, "PYTHONPATH": "."},
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    found = [Variable(name, *others) for name, others in json.loads(done.stdout).items()]
    return tuple(
        each
        for each in found
        if each.settings != _OF_OTHER_APPS and each.name not in _WITHOUT_EFFECT.get(service, ())
    )


def assert_all_present(variables: tuple[Variable, ...], present: set[str], place: str) -> None:
    """Fail with a line for each variable that is not among `present`."""
    missing = [each for each in variables if each.name not in present]
    lines = [f"{each.name}, of {each.settings}, is missing in {place}" for each in missing]
    assert not lines, "\n".join(["variables are left out:", *lines])
