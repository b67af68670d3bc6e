"""OpenAPI 3.1 from the declarations that the routes enforce."""

import inspect
from collections.abc import Iterable, Iterator, Mapping
from http import HTTPStatus
from typing import Any

from flask import Flask
from pydantic import BaseModel
from pydantic.alias_generators import to_camel
from pydantic.json_schema import GenerateJsonSchema, models_json_schema
from pydantic_core import core_schema
from werkzeug.routing import Rule

from ..cache_handlers import RateLimit
from ..settings import SERVICE_TOKEN_HEADER
from .declarations import IN_PATHS, SAFE_METHODS, LimitSpec, Operation, operation_of, path_of
from .idempotency import HEADER, KEY_PATTERN, REPLAYED, REPLAYED_HEADERS
from .problems import ErrorBody, ProblemDetails, RateLimited

Json = dict[str, Any]


_HEADERS: dict[str, Json] = {
    "X-Request-ID": {"description": "Identifies the request in the logs.", "type": "string"},
    "X-RateLimit-Limit": {"description": "The tightest of the limits.", "type": "integer"},
    "X-RateLimit-Remaining": {"description": "Requests left under that limit.", "type": "integer"},
    "X-RateLimit-Reset": {
        "description": "Seconds until it is unused again.",
        "type": "integer",
    },
    "Retry-After": {"description": "Seconds to wait.", "type": "integer"},
    "WWW-Authenticate": {"description": "How to authenticate.", "type": "string"},
}
_REFERENCE = "#/components/schemas/{model}"
_IDEMPOTENCY_HEADERS: dict[str, Json] = {  # sent only where they apply
    REPLAYED: {
        "description": "true: the response to an earlier request.",
        "type": "string",
    },
    "Retry-After": {
        "description": "Seconds to wait for the earlier request, which is in progress.",
        "type": "integer",
    },
}
_LIMIT_HEADERS = ["X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset"]


_PATH_TYPES: dict[str | None, Json] = {
    "id": {"type": "integer", "minimum": 1, "maximum": 10**18 - 1},
    "int": {"type": "integer", "minimum": 0},
    "uuid": {"type": "string", "format": "uuid"},
}
_TEXT: Json = {"type": "string", "minLength": 1}


def describe(
    app: Flask,
    title: str,
    version: str,
    introduction: str,
    rate_limits: Mapping[str, RateLimit],
) -> Json:
    """The OpenAPI document of every route of `app` that declares its response.

    A route's docstring is its text: the first paragraph becomes the summary, the rest the
    description.
    """
    operations: list[tuple[Rule, str, Operation]] = [
        (rule, method.lower(), operation)
        for rule in sorted(app.url_map.iter_rules(), key=lambda rule: rule.rule)
        if (operation := operation_of(app.view_functions[rule.endpoint])).response is not None
        for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"})
    ]
    references, schemas = _schemas(operation for _, _, operation in operations)
    paths: dict[str, Json] = {}
    for rule, method, operation in operations:
        view = app.view_functions[rule.endpoint]
        paths.setdefault(path_of(rule), {})[method] = {
            "operationId": to_camel(rule.endpoint.rpartition(".")[2]),
            "tags": [rule.endpoint.rpartition(".")[0]],
            **_texts(view, operation.limits, rate_limits),
            **_input(rule, operation, references),
            "responses": dict(_responses(method, operation, references)),
            **_security(operation),
        }
    return {
        "openapi": "3.1.0",
        "info": {"title": title, "version": version, "description": introduction},
        "servers": [{"url": "/"}],
        "tags": [{"name": name} for name in _tags(app, operations)],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "headers": {name: _header(**header) for name, header in _HEADERS.items()},
            "responses": dict(_problems()),
            "securitySchemes": {
                "session": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "The session_id returned by POST /login. Browsers need none: "
                    "logging in sets the cookie __Host-session.",
                },
                "service": {
                    "type": "apiKey",
                    "in": "header",
                    "name": SERVICE_TOKEN_HEADER,
                    "description": "For other services: a token from SERVICE_TOKENS.",
                },
            },
        },
    }


def _security(operation: Operation) -> Json:
    if operation.requirement is None:
        return {}
    required = operation.requirement
    users: list[Json] = [] if required.services_only else [{"session": []}]
    services: list[Json] = (
        [{"service": []}] if required.allow_services or required.services_only else []
    )
    return {"security": [*users, *services]}


def _tags(app: Flask, operations: list[tuple[Rule, str, Operation]]) -> list[str]:
    """The blueprints with operations, in the app's order; those of every service come last."""
    used = {rule.endpoint.rpartition(".")[0] for rule, _, _ in operations}
    return sorted(
        (name for name in app.blueprints if name in used), key=lambda name: name == "health"
    )


class _WithoutEmptyDefaults(GenerateJsonSchema):
    """Leaves out defaults that say nothing: an optional field that is omitted is null or empty."""

    def field_title_should_be_set(self, _: object) -> bool:
        """Titles would only repeat the names."""
        return False

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> Json:
        described: Json = super().default_schema(schema)
        if described.get("default") in (None, ""):
            described.pop("default", None)
        return described


def _schemas(operations: Iterable[Operation]) -> tuple[Mapping[type[BaseModel], Json], Json]:
    taken: dict[type[BaseModel], str] = dict.fromkeys(
        (ErrorBody, ProblemDetails, RateLimited), "serialization"
    )
    for operation in operations:
        for model in filter(None, (operation.body, operation.query)):
            taken[model] = "validation"
        if operation.response is not None and operation.response.model is not None:
            taken[operation.response.model] = "serialization"
    found, definitions = models_json_schema(
        list(taken.items()),  # type: ignore[arg-type]  # the modes are literals
        ref_template=_REFERENCE,
        schema_generator=_WithoutEmptyDefaults,
    )
    references = {model: found[model, mode] for model, mode in taken.items()}  # type: ignore[index]
    return references, definitions["$defs"]


def _texts(view: object, limits: Iterable[LimitSpec], rate_limits: Mapping[str, RateLimit]) -> Json:
    summary, *paragraphs = (inspect.getdoc(view) or "").split("\n\n")
    for declared in limits:
        rate_limit = rate_limits[declared.name]
        paragraphs.append(
            f"Limited to {rate_limit.limit} requests in {rate_limit.window} seconds "
            f"per {declared.by}."
        )
    description = {"description": "\n\n".join(paragraphs)} if paragraphs else {}
    return {"summary": " ".join(summary.split()).rstrip("."), **description}


def _input(rule: Rule, operation: Operation, references: Mapping[type[BaseModel], Json]) -> Json:
    parameters = [
        {
            "name": found["name"],
            "in": "path",
            "required": True,
            "schema": _PATH_TYPES.get(found["converter"], _TEXT),
        }
        for found in IN_PATHS.finditer(rule.rule)
    ]
    if operation.query is not None:
        parameters += _query(operation.query)
    if operation.idempotent:
        parameters.append(_idempotency_key())
    if operation.conditional:
        parameters.append(_if_none_match())
    described: Json = {"parameters": parameters} if parameters else {}
    if operation.body is not None:
        content = {"application/json": {"schema": references[operation.body]}}
        described["requestBody"] = {"required": True, "content": content}
    return described


def _if_none_match() -> Json:
    return {
        "name": "If-None-Match",
        "in": "header",
        "required": False,
        "description": "The ETag of the client's copy: 304 if that is the current state.",
        "schema": {"type": "string"},
    }


def _idempotency_key() -> Json:
    return {
        "name": HEADER,
        "in": "header",
        "required": False,
        "description": "Identifies the request, so that it can be repeated safely: for 24 hours "
        "it takes effect once and gets the same response. Use a random UUID.",
        "schema": {"type": "string", "pattern": KEY_PATTERN},
    }


def _query(model: type[BaseModel]) -> Iterator[Json]:
    schema = model.model_json_schema(
        schema_generator=_WithoutEmptyDefaults, ref_template=_REFERENCE
    )
    for name, described in schema["properties"].items():
        said = {"description": described.pop("description")} if "description" in described else {}
        kinds = [kind for kind in described.pop("anyOf", []) if kind != {"type": "null"}]
        if kinds:  # left out, and never null
            described = {**described, **(kinds[0] if len(kinds) == 1 else {"anyOf": kinds})}
        yield {
            "name": name,
            "in": "query",
            "required": name in schema.get("required", []),
            **said,
            "schema": described,
        }


def _responses(
    method: str, operation: Operation, references: Mapping[type[BaseModel], Json]
) -> Iterator[tuple[str, Json]]:
    spec = operation.response
    if spec is None:
        return
    limits = _LIMIT_HEADERS if operation.limits else []
    named = ["X-Request-ID", *limits]
    headers: Json = {name: {"$ref": f"#/components/headers/{name}"} for name in named}
    headers |= {name: _header(said) for name, said in spec.headers.items()}
    if operation.idempotent:
        for name in spec.headers.keys() - REPLAYED_HEADERS:
            headers[name]["required"] = False
        headers |= _optional(REPLAYED)
    described: Json = {"headers": headers}
    if operation.conditional:
        headers |= {"ETag": _header("Identifies this state: see If-None-Match.")}
        yield "304", {"description": "The client's copy is current.", "headers": dict(headers)}
    if spec.model is not None:
        described["content"] = {"application/json": {"schema": references[spec.model]}}
    if spec.media_type is not None:
        described["content"] = {spec.media_type: {"schema": {"type": "string"}}}
    for status in filter(None, (spec.status, spec.also)):
        yield str(status), {"description": HTTPStatus(status).phrase, **described}
    for status in sorted({*spec.problems, *_implied(method, operation)}):
        if status == 409 and operation.idempotent:
            yield "409", _problem(409, _optional(REPLAYED, "Retry-After"))
        else:
            yield str(status), {"$ref": f"#/components/responses/{status}"}


def _implied(method: str, operation: Operation) -> Iterator[int]:
    """The errors that follow from the declarations."""
    yield 422  # for an unknown query parameter, if nothing else
    if operation.body is not None:
        yield from (400, 413, 415)
    if operation.limits:
        yield from (429, 503)
    if operation.idempotent:
        yield from (400, 409, 413, 503)
    if operation.requirement is not None:
        yield from (400, 401, 503)  # 400: two sessions at once
        required = operation.requirement
        if required.role or required.fresh_within or method.upper() not in SAFE_METHODS:
            yield 403  # also for cross-site requests


_HEADERS_OF = {
    401: ["WWW-Authenticate"],
    429: ["Retry-After", *_LIMIT_HEADERS],
    503: ["Retry-After"],
}


def _problems() -> Iterator[tuple[str, Json]]:
    for status in (400, 401, 403, 404, 409, 410, 413, 415, 422, 429, 503):
        yield str(status), _problem(status)


def _problem(status: int, more_headers: Json | None = None) -> Json:
    body = RateLimited if status == 429 else ErrorBody
    named = ["X-Request-ID", *_HEADERS_OF.get(status, [])]
    headers = {name: {"$ref": f"#/components/headers/{name}"} for name in named}
    return {
        "description": HTTPStatus(status).phrase,
        "headers": headers | (more_headers or {}),
        "content": {
            "application/json": {"schema": _reference(body)},
            "application/problem+json": {"schema": _reference(ProblemDetails)},
        },
    }


def _reference(model: type[BaseModel]) -> Json:
    return {"$ref": _REFERENCE.format(model=model.__name__)}


def _optional(*names: str) -> Json:
    return {name: _header(**_IDEMPOTENCY_HEADERS[name]) | {"required": False} for name in names}


def _header(description: str, type: str = "string") -> Json:  # noqa: A002  as in the document
    return {"description": description, "required": True, "schema": {"type": type}}
