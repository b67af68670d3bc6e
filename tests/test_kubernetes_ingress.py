"""The Ingress of the production overlay, beside the routes of the services and the gateway."""

from pathlib import PurePosixPath

import pytest

from .manifests import container_of, named, variables_in
from .paths import routes, service_for
from .portal_api import PORTS

INTERNAL = {"/health", "/livez", "/metrics", "/readyz"}


def backend_of(path: str) -> str | None:
    """The service that the Ingress sends a path to, or None."""
    (rule,) = named("production", "Ingress", "pyportal")["spec"]["rules"]
    found: dict[str, str] = {}
    for each in rule["http"]["paths"]:
        is_below = each["pathType"] == "Prefix" and PurePosixPath(path).is_relative_to(each["path"])
        if path == each["path"] or is_below:
            service = each["backend"]["service"]
            assert service["port"] == {"name": "http"}
            found[each["path"]] = service["name"].removesuffix("-service")
    return found[max(found, key=len)] if found else None


@pytest.mark.parametrize("name", PORTS)
def test_a_path_leads_to_the_same_service_as_through_the_gateway(name: str) -> None:
    paths = routes(name) - INTERNAL
    below_the_name = {f"/{name}{path}" for path in paths - {"/"}}

    assert {path for path in paths if backend_of(path) != service_for(path)} == set()
    assert {path for path in below_the_name if backend_of(path) != name} == set()


@pytest.mark.parametrize("name", PORTS)
def test_what_is_internal_is_not_reached_from_outside(name: str) -> None:
    paths = {path for path in routes(name) if path in INTERNAL}

    assert paths == INTERNAL
    assert {path for path in paths if backend_of(path) or backend_of(f"/{name}{path}")} == set()


@pytest.mark.parametrize("name", PORTS)
def test_a_service_knows_the_path_below_which_it_is(name: str) -> None:
    variables = variables_in("production", container_of("production", f"{name}-service"))

    assert variables["PATH_PREFIX"] == f"/{name}"
    (rule,) = named("production", "Ingress", "pyportal")["spec"]["rules"]
    assert variables["PUBLIC_URL"] == f"https://{rule['host']}"
