"""Each variable of every settings class is where people look for it and where it can be set."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]

from .portal_api import PORTS
from .settings_variables import assert_all_present, variables_of

ROOT = Path(__file__).parent.parent
COMPOSE = sorted(file.name for file in ROOT.glob("docker-compose*.yml"))

# Variables that Compose cannot pass on, and why.
NOT_IN_COMPOSE = {
    "BIND": "the published ports and the health checks name the ports",
    "PORT": "as above",
    "REDIS_URL": "it would win over REDIS_HOST, and the files have a server",
}

# Of Compose itself, or of the machine.
NOT_IN_EXAMPLE = {"COMPOSE_PROJECT_NAME"}


def services_in(file: str) -> dict[str, Any]:
    text = (ROOT / file).read_text("utf-8").replace("!reset", "")
    return dict(yaml.safe_load(text)["services"])


def environments(service: str) -> set[str]:
    """The variables that containers of a service have, with any of the overlays."""
    parts = (services_in(file).get(f"{service}-service", {}) for file in COMPOSE)
    return {name for part in parts for name in part.get("environment", {})}


@pytest.mark.parametrize("service", PORTS)
def test_each_variable_of_a_service_is_passed_on_by_compose(service: str) -> None:
    present = environments(service) | NOT_IN_COMPOSE.keys()

    assert_all_present(variables_of(service), present, "docker-compose.yml and its overlays")


def test_a_variable_that_is_left_out_is_named() -> None:
    variables = variables_of("taskprocessing")
    present = {each.name for each in variables} - {"TASK_DAYS"}

    with pytest.raises(AssertionError, match="TASK_DAYS"):
        assert_all_present(variables, present, "a file")


@pytest.mark.parametrize("service", PORTS)
def test_compose_passes_on_no_variable_that_nobody_reads(service: str) -> None:
    """Those of libraries, which have no settings class here, begin with PG or OTEL."""
    known = {each.name for each in variables_of(service)}

    unknown = {name for name in environments(service) if not name.startswith(("PG", "OTEL_"))}

    assert unknown - known - {"SESSION_MAX_PER_USER"} == set()


@pytest.mark.parametrize("service", PORTS)
def test_services_and_workers_get_the_same_variables(service: str) -> None:
    for file in COMPOSE:
        parts = services_in(file)
        found = [
            parts.get(f"{service}-{part}", {}).get("environment") for part in ("service", "worker")
        ]

        assert found[0] == found[1], file


@pytest.mark.parametrize("service", PORTS)
@pytest.mark.parametrize("file", [".env.example", "README.md"])
def test_each_variable_of_a_service_is_in_its_folder(service: str, file: str) -> None:
    """Those of Redis have a page, which tests/test_docs.py compares."""
    text = (ROOT / f"{service}-service" / file).read_text("utf-8")
    pattern = r"^([A-Z_]+)=" if file == ".env.example" else r"`([A-Z_]+)`"
    of_redis = {each.name for each in variables_of(service) if each.settings == "RedisSettings"}

    present = set(re.findall(pattern, text, re.MULTILINE)) | (
        of_redis if file == "README.md" else set()
    )

    assert_all_present(variables_of(service), present, f"{service}-service/{file}")


def test_each_variable_that_compose_reads_is_in_the_example_file() -> None:
    text = (ROOT / ".env.example").read_text("utf-8")
    listed = set(re.findall(r"^([A-Z_]+)=", text, re.MULTILINE))
    read: set[str] = set()
    for file in COMPOSE:
        read |= set(re.findall(r"(?<!\$)\$\{([A-Z_]+)", (ROOT / file).read_text("utf-8")))
        for service in services_in(file).values():
            environment = service.get("environment", {})
            if isinstance(environment, dict):
                read |= {name for name, value in environment.items() if value is None}

    assert read - listed == set()
    assert listed - read == set()


def test_each_secret_may_be_in_a_file_and_the_page_says_so() -> None:
    page = (ROOT / "docs" / "operations.md").read_text("utf-8")
    section = page.partition("\n## Secrets\n")[2].partition("\n## ")[0]
    documented = set(re.findall(r"`([A-Z_]+)_FILE`", section))

    secrets = {each.name for name in PORTS for each in variables_of(name) if each.is_secret}

    assert documented == secrets
