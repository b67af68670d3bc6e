"""The OpenAPI documents of the services as one, for the origin that they share behind a gateway."""

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from tempfile import TemporaryDirectory
from typing import Any

from .portal import ROOT, LocalSettings, Service

Json = dict[str, Any]

_INTRODUCTION = (
    "All routes that only one of the services has. Each service describes the others, such as its "
    "health and its admin API, at its own `/openapi.json`."
)

_PRINT = """
from app import create_app
print(create_app().test_client().get("/openapi.json").text)
"""


class Collision(Exception):
    """Two services have different things under one name."""


def merged() -> Json:
    """The document of the portal, with the defaults of all settings."""
    return merge([document_of(service) for service in LocalSettings().services])


def document_of(service: Service) -> Json:
    """The document of a service, with the defaults of all settings."""
    with TemporaryDirectory() as without_env_file:
        described = subprocess.run(
            [sys.executable, "-c", _PRINT],
            cwd=without_env_file,
            env={
                "PATH": os.environ.get("PATH", os.defpath),
                "PYTHONPATH": os.pathsep.join(map(str, (service.folder, ROOT))),
                "LOG_LEVEL": "WARNING",
            },
            stdout=subprocess.PIPE,
            check=True,
        )
    document: Json = json.loads(described.stdout)
    return document


def merge(documents: Sequence[Json]) -> Json:
    """One document of all paths that only one of `documents` has, and of what these refer to.

    A path that several have is about each service itself, and can mean only one of them at one
    origin. Raises Collision if an operation id, a tag or a component would have two meanings.
    """
    count = Counter(path for document in documents for path in document["paths"])
    merged: Json = {
        "openapi": documents[0]["openapi"],
        "info": {**documents[0]["info"], "title": "Portal", "description": _INTRODUCTION},
        "servers": [{"url": "/"}],
        "tags": [],
        "paths": {},
        "webhooks": {},
        "components": {"schemas": {}, "headers": {}, "responses": {}, "securitySchemes": {}},
    }
    for document in documents:
        own = {path: item for path, item in document["paths"].items() if count[path] == 1}
        webhooks = document["webhooks"]
        tags = {tag for operation in _operations(own) for tag in operation["tags"]}
        merged["tags"] += [tag for tag in document["tags"] if tag["name"] in tags]
        merged["paths"] |= own
        _add(merged["webhooks"], webhooks)
        _add(merged["components"]["securitySchemes"], document["components"]["securitySchemes"])
        for kind, name in sorted(_referenced(document, [own, webhooks])):
            _add(merged["components"][kind], {name: document["components"][kind][name]})
    _refuse_repeated(operation["operationId"] for operation in _operations(merged["paths"]))
    _refuse_repeated(tag["name"] for tag in merged["tags"])
    return merged


def _operations(paths: Json) -> Iterator[Json]:
    return (operation for item in paths.values() for operation in item.values())


def _referenced(document: Json, roots: Sequence[Json]) -> set[tuple[str, str]]:
    """The kinds and names of the components that `roots` refer to, also by other components."""
    found: set[tuple[str, str]] = set()
    unread: list[object] = list(roots)
    while unread:
        for reference in _references(unread.pop()):
            _, _, kind, name = reference.split("/")
            if (kind, name) not in found:
                found.add((kind, name))
                unread.append(document["components"][kind][name])
    return found


def _references(part: object) -> Iterator[str]:
    if isinstance(part, dict):
        if isinstance(part.get("$ref"), str):
            yield part["$ref"]
        for value in part.values():
            yield from _references(value)
    elif isinstance(part, list):
        for value in part:
            yield from _references(value)


def _add(target: Json, parts: Json) -> None:
    for name, part in parts.items():
        if target.setdefault(name, part) != part:
            raise Collision(f"services describe {name} in different ways")


def _refuse_repeated(names: Iterator[str]) -> None:
    repeated = [name for name, times in Counter(names).items() if times > 1]
    if repeated:
        raise Collision(f"more than one service has {', '.join(repeated)}")
