"""The variables and secrets of deploy/kubernetes, beside the settings classes and Compose."""

import base64
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from .manifests import COMPOSE, OVERLAYS, container_of, named, of_kind, variables_in
from .portal_api import PORTS
from .settings_variables import assert_all_present, variables_of

ROOT = Path(__file__).parent.parent
SECRETS = "/run/secrets/portal/"


@pytest.mark.parametrize("overlay", OVERLAYS)
@pytest.mark.parametrize("service", PORTS)
class TestVariables:
    def test_each_variable_of_a_service_is_set_or_empty(self, service: str, overlay: str) -> None:
        for part in ("service", "worker", "migrations"):
            present = set(variables_in(overlay, container_of(overlay, f"{service}-{part}")))
            present |= {name.removesuffix("_FILE") for name in present}

            place = f"deploy/kubernetes/base/settings.env and base/{service}/settings.env"
            assert_all_present(variables_of(service), present, place)

    def test_none_is_set_that_nobody_reads(self, service: str, overlay: str) -> None:
        known = {each.name for each in variables_of(service)}
        known |= {f"{each.name}_FILE" for each in variables_of(service) if each.is_secret}

        present = set(variables_in(overlay, container_of(overlay, f"{service}-service")))

        assert present - known == set()

    def test_no_secret_is_a_variable(self, service: str, overlay: str) -> None:
        values = variables_in(overlay, container_of(overlay, f"{service}-service"))
        secrets = {each.name for each in variables_of(service) if each.is_secret}

        assert {name for name in secrets if values.get(name)} == set()

    @pytest.mark.slow
    def test_a_service_accepts_its_variables_and_secrets(
        self, service: str, overlay: str, tmp_path: Path
    ) -> None:
        values = variables_in(overlay, container_of(overlay, f"{service}-service"))
        secrets = secrets_of("development", service)
        for name, value in values.items():
            if value.startswith(SECRETS):
                key = value.removeprefix(SECRETS)
                (tmp_path / key).write_text(secrets.get(key, "a-secret-of-production"))
                values[name] = str(tmp_path / key)

        done = subprocess.run(
            [sys.executable, "-m", "common.pyportal_common.gunicorn",
             "--check-config", "--print-config", "wsgi"],
            cwd=ROOT / f"{service}-service",
            env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), **values},
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )  # fmt: skip

        assert done.returncode == 0, done.stderr
        assert re.search(rf"^bind +=.*0\.0\.0\.0:{PORTS[service]}'", done.stdout, re.MULTILINE)


def secrets_of(overlay: str, service: str) -> dict[str, str]:
    """The Secret of a service, with the files of the overlay."""
    data = named(overlay, "Secret", f"{service}-secrets")["data"]
    return {key: base64.b64decode(value).decode() for key, value in data.items()}


@pytest.mark.parametrize("service", PORTS)
def test_the_secrets_of_development_are_the_defaults_of_compose(service: str) -> None:
    environment = COMPOSE["services"][f"{service}-service"]["environment"]
    defaults = {
        name: re.sub(r"\$\{\w+:-([^}]*)}", r"\1", environment[name])
        for name in ("DATABASE_URL", "PGPASSWORD", "SERVICE_TOKEN", "SERVICE_TOKENS")
    }
    with_password = defaults["DATABASE_URL"].replace("@", f":{defaults['PGPASSWORD']}@")

    assert secrets_of("development", service) == {
        "DATABASE_URL": with_password,
        "SERVICE_TOKEN": defaults["SERVICE_TOKEN"],
        "SERVICE_TOKENS": defaults["SERVICE_TOKENS"].removesuffix(",") + "\n",
    }


def test_production_has_no_secret_and_its_page_lists_those_that_it_needs() -> None:
    page = (ROOT / "docs" / "deployment" / "kubernetes.md").read_text("utf-8")
    needed: dict[str, set[str]] = {}
    for service in PORTS:
        values = variables_in("production", container_of("production", f"{service}-service"))
        files = {value for value in values.values() if value.startswith(SECRETS)}
        needed[f"{service}-secrets"] = {file.removeprefix(SECRETS) for file in files}

    assert list(of_kind("production", "Secret")) == []
    for name, keys in needed.items():
        (row,) = re.findall(rf"^\| `{name}` \|.*$", page, re.MULTILINE)
        assert set(re.findall(r"`([A-Z_]+)`", row)) == keys
