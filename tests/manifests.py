"""The resources of deploy/kubernetes, as kubectl renders them, and docker-compose.yml."""

import re
import shutil
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]

from common.pyportal_common.testing.plugin import missing

ROOT = Path(__file__).parent.parent
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text("utf-8"))
KUBERNETES = ROOT / "deploy" / "kubernetes"
OVERLAYS = ("development", "production")
Resource = dict[str, Any]

# Resources of operators, whose schemas are not among those of Kubernetes. Only what we use.
_STRICT = {"type": "object", "additionalProperties": False}
OTHER_SCHEMAS = {
    "ServiceMonitor": {
        **_STRICT,
        "required": ["endpoints", "selector"],
        "properties": {
            "jobLabel": {"type": "string"},
            "selector": {
                **_STRICT,
                "properties": {"matchLabels": {"additionalProperties": {"type": "string"}}},
            },
            "endpoints": {
                "type": "array",
                "minItems": 1,
                "items": {
                    **_STRICT,
                    "properties": {
                        "port": {"type": "string"},
                        "path": {"type": "string"},
                        "interval": {"pattern": "^[0-9]+s$"},
                        "scrapeTimeout": {"pattern": "^[0-9]+s$"},
                    },
                },
            },
        },
    }
}


@cache
def rendered(folder: str) -> tuple[Resource, ...]:
    """The resources of a folder, by `kubectl kustomize`."""
    kubectl = shutil.which("kubectl") or missing("kubectl")
    done = subprocess.run(
        [kubectl, "kustomize", KUBERNETES / folder],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return tuple(yaml.load_all(done.stdout, yaml.CSafeLoader))


def of_kind(overlay: str, *kinds: str) -> Iterator[Resource]:
    return (each for each in rendered(overlay) if each["kind"] in kinds)


def named(overlay: str, kind: str, name: str) -> Resource:
    """A resource by its name, without the hash of its content."""
    (found,) = [
        each
        for each in of_kind(overlay, kind)
        if re.sub(r"-[a-z0-9]{10}$", "", each["metadata"]["name"]) == name
    ]
    return found


def pod_of(resource: Resource) -> Resource:
    return dict(resource["spec"]["template"]["spec"])


def pods(overlay: str) -> Iterator[tuple[str, Resource]]:
    """The name and the pod of each workload."""
    for each in of_kind(overlay, "Deployment", "StatefulSet", "Job"):
        yield each["metadata"]["name"], pod_of(each)


def ours(overlay: str) -> Iterator[tuple[str, Resource]]:
    """The workloads of the services."""
    return ((name, pod) for name, pod in pods(overlay) if name not in {"redis", "db"})


def container_of(overlay: str, name: str) -> Resource:
    (container,) = dict(pods(overlay))[name]["containers"]
    return dict(container)


def variables_in(overlay: str, container: Resource) -> dict[str, str]:
    """The environment of a container: later ConfigMaps win."""
    data = {each["metadata"]["name"]: each["data"] for each in of_kind(overlay, "ConfigMap")}
    found: dict[str, str] = {}
    for source in container["envFrom"]:
        found |= data[source["configMapRef"]["name"]]
    return found


def seconds(text: str) -> int:
    return int(text.removesuffix("s"))
