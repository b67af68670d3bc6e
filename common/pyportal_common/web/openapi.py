"""The OpenAPI 3.1 document, from the declarations that the routes enforce."""

import inspect
import re
from collections.abc import Iterable, Iterator, Mapping
from http import HTTPStatus
from typing import Any

from flask import Flask
from pydantic import BaseModel
from pydantic.alias_generators import to_camel
from pydantic.json_schema import GenerateJsonSchema, models_json_schema
from pydantic_core import core_schema
from werkzeug.routing import Rule
from werkzeug.routing.rules import parse_converter_args

from .. import __version__
from ..cache_handlers import RateLimit, keys
from ..settings import SERVICE_TOKEN_HEADER
from .declarations import (
    PATH_PARAMETER,
    SAFE_METHODS,
    LimitSpec,
    Operation,
    ResponseSpec,
    operation_of,
    path_of,
)
from .idempotency import REPLAYED, REPLAYED_HEADERS, REPLAYED_TOO
from .keyed_requests import HEADER, KEY_PATTERN
from .long_polls import LONGEST_SECONDS
from .problems import ErrorBody, ProblemDetails, RateLimited
from .responses import Page

Json = dict[str, Any]
References = Mapping[type[BaseModel], Json]

OPENAPI_WEBHOOKS = "openapi_webhooks"
"""In `app.extensions`: the OpenAPI `webhooks` of a service, if it calls any."""

_REFERENCE = "#/components/schemas/{model}"
_TEXT: Json = {"type": "string", "minLength": 1}
_PATH_TYPES: dict[str | None, Json] = {
    "id": {"type": "integer", "minimum": 1, "maximum": 10**18 - 1},
    "int": {"type": "integer", "minimum": 0},
    "uuid": {"type": "string", "format": "uuid"},
    "key": {"type": "string", "pattern": "^[^:]+:.+$", "examples": [keys.user(7)]},
    "client": {"type": "string", "examples": [keys.user(7), "192.0.2.1"]},
}
_SECURITY_SCHEMES: Json = {
    "session": {
        "type": "http",
        "scheme": "bearer",
        "description": "The session_id returned by POST /login. Browsers need none: logging in "
        "sets the cookie __Host-session.",
    },
    "service": {
        "type": "apiKey",
        "in": "header",
        "name": SERVICE_TOKEN_HEADER,
        "description": "For other services: a token from SERVICE_TOKENS.",
    },
}


def _header(
    description: str, kind: str = "string", *, required: bool = True, **schema: str
) -> Json:
    return {"description": description, "required": required, "schema": {"type": kind, **schema}}


_HEADERS = {
    "X-Request-ID": _header("Identifies the request in the logs."),
    "X-RateLimit-Limit": _header("The limit that the request is closest to.", "integer"),
    "X-RateLimit-Remaining": _header("Requests left under that limit.", "integer"),
    "X-RateLimit-Reset": _header("Seconds until that limit is unused.", "integer"),
    "Retry-After": _header("Seconds to wait.", "integer"),
    "WWW-Authenticate": _header("How to authenticate."),
}
_LIMIT_HEADERS = ["X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset"]
_REPLAYED_HEADER = {
    REPLAYED: _header("true: the response to an earlier request.", required=False),
    REPLAYED_TOO: _header("The same, under another common name.", required=False),
}
_IN_PROGRESS_HEADER = {
    "Retry-After": _header(
        "Seconds to wait for the earlier request, which is in progress.", "integer", required=False
    ),
}
_WAITED_HEADERS = {
    "Preference-Applied": _header("The request could wait: see Prefer.", required=False),
    "Retry-After": _header(
        "Seconds to wait before the next request, if the state will change.",
        "integer",
        required=False,
    ),
}
_PROBLEM_HEADERS = {
    401: ["WWW-Authenticate"],
    429: ["Retry-After", *_LIMIT_HEADERS],
    503: ["Retry-After"],
}


def describe(
    app: Flask, title: str, introduction: str, rate_limits: Mapping[str, RateLimit], root: str = ""
) -> Json:
    """The OpenAPI document of all routes of `app` that declare their response, below `root`.

    The first paragraph of a route's docstring is the summary, the rest the description.
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
        tag, _, name = rule.endpoint.rpartition(".")
        paths.setdefault(path_of(rule), {})[method] = {
            "operationId": to_camel(name),
            "tags": [tag],
            **_texts(app.view_functions[rule.endpoint], operation.limits, rate_limits),
            **_input(rule, operation, references),
            "responses": dict(_responses(method, operation, references)),
            **_security(operation),
        }
    used = {rule.endpoint.rpartition(".")[0] for rule, _, _ in operations}
    tags = sorted((name for name in app.blueprints if name in used), key="health".__eq__)
    return {
        "openapi": "3.1.0",
        "info": {"title": title, "version": __version__, "description": introduction},
        "servers": [{"url": root or "/"}],
        "tags": [{"name": name} for name in tags],  # in the app's order, but health comes last
        "paths": paths,
        "webhooks": app.extensions.get(OPENAPI_WEBHOOKS, {}),
        "components": {
            "schemas": schemas,
            "headers": _HEADERS,
            "responses": dict(_problems()),
            "securitySchemes": _SECURITY_SCHEMES,
        },
    }


def _security(operation: Operation) -> Json:
    required = operation.requirement
    if required is None:
        return {}
    users: list[Json] = [] if required.services_only else [{"session": []}]
    allows_services = required.allow_services or required.services_only
    services: list[Json] = [{"service": []}] if allows_services else []
    return {"security": [*users, *services]}


class _WithoutEmptyDefaults(GenerateJsonSchema):
    """Omits the defaults null and "", which every optional field has, and titles of fields."""

    def field_title_should_be_set(self, _: object) -> bool:
        """Titles would only repeat the names."""
        return False

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> Json:
        described: Json = super().default_schema(schema)
        if described.get("default") in (None, ""):
            described.pop("default", None)
        return described


def _schemas(operations: Iterable[Operation]) -> tuple[References, Json]:
    modes: dict[type[BaseModel], str] = dict.fromkeys(
        (ErrorBody, ProblemDetails, RateLimited), "serialization"
    )
    for operation in operations:
        for model in filter(None, (operation.body, operation.query)):
            modes[model] = "validation"
        if operation.response is not None and operation.response.model is not None:
            modes[operation.response.model] = "serialization"
    found, definitions = models_json_schema(
        list(modes.items()),  # type: ignore[arg-type]  # the modes are literals
        ref_template=_REFERENCE,
        schema_generator=_WithoutEmptyDefaults,
    )
    for schema in definitions["$defs"].values():
        schema.pop("title", None)  # generators of clients prefer it to the name, which is unique
    references = {model: found[model, mode] for model, mode in modes.items()}  # type: ignore[index]
    return references, definitions["$defs"]


def _texts(view: object, limits: Iterable[LimitSpec], rate_limits: Mapping[str, RateLimit]) -> Json:
    summary, *paragraphs = (inspect.getdoc(view) or "").split("\n\n")
    for declared in limits:
        rate_limit = rate_limits[declared.name]
        if rate_limit.shadow:
            continue
        paragraphs.append(
            f"Limited to {rate_limit.limit} requests in {rate_limit.window} seconds "
            f"per {declared.by}."
        )
    description = {"description": "\n\n".join(paragraphs)} if paragraphs else {}
    return {"summary": " ".join(summary.split()).rstrip("."), **description}


def _input(rule: Rule, operation: Operation, references: References) -> Json:
    parameters: list[Json] = [
        {
            "name": found["name"],
            "in": "path",
            "required": True,
            "schema": _path_schema(found),
        }
        for found in PATH_PARAMETER.finditer(rule.rule)
    ]
    if operation.query is not None:
        parameters += _query(operation.query)
    if operation.idempotent:
        text = (
            "Identifies the request, so that it can be repeated safely: for 24 hours it takes "
            "effect once and gets the same response. A different request with it is a 422. Use a "
            "random UUID."
        )
        parameters.append(_header_parameter(HEADER, text, pattern=KEY_PATTERN))
    if operation.key_text is not None:
        parameters.append(_header_parameter(HEADER, operation.key_text, pattern=KEY_PATTERN))
    if operation.conditional:
        text = "The ETag of the client's copy: 304 if that is the current state."
        parameters.append(_header_parameter("If-None-Match", text))
    if operation.long_poll:
        text = (
            f"wait={LONGEST_SECONDS}: respond when the state changes, or after that many seconds. "
            "See Preference-Applied."
        )
        parameters.append(_header_parameter("Prefer", text))
    described: Json = {"parameters": parameters} if parameters else {}
    if operation.body is not None:
        content = {"application/json": {"schema": references[operation.body]}}
        described["requestBody"] = {"required": True, "content": content}
    return described


def _path_schema(found: re.Match[str]) -> Json:
    converter = found["converter"]
    if converter == "any":
        choices, _ = parse_converter_args(found["arguments"])
        return {"type": "string", "enum": list(choices)}
    return _PATH_TYPES.get(converter, _TEXT)


def _header_parameter(name: str, description: str, **schema: str) -> Json:
    return {"name": name, "in": "header", **_header(description, required=False, **schema)}


def _query(model: type[BaseModel]) -> Iterator[Json]:
    schema = model.model_json_schema(
        schema_generator=_WithoutEmptyDefaults, ref_template=_REFERENCE
    )
    for name, described in schema["properties"].items():
        text = {"description": described.pop("description")} if "description" in described else {}
        kinds = [kind for kind in described.pop("anyOf", []) if kind != {"type": "null"}]
        if kinds:  # an optional parameter is omitted, never null
            described = {**described, **(kinds[0] if len(kinds) == 1 else {"anyOf": kinds})}
        required = name in schema.get("required", [])
        yield {"name": name, "in": "query", "required": required, **text, "schema": described}


def _responses(
    method: str, operation: Operation, references: References
) -> Iterator[tuple[str, Json]]:
    spec = operation.response
    if spec is None:
        return
    headers = _response_headers(spec, operation)
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
            yield "409", _problem(409, _REPLAYED_HEADER | _IN_PROGRESS_HEADER)
        else:
            yield str(status), {"$ref": f"#/components/responses/{status}"}


def _response_headers(spec: ResponseSpec, operation: Operation) -> Json:
    headers = _named("X-Request-ID", *(_LIMIT_HEADERS if operation.limits else []))
    for name, text in spec.headers.items():
        # A replayed response has only some of the headers of the original.
        required = not operation.idempotent or name in REPLAYED_HEADERS
        kind = "integer" if name == "Retry-After" else "string"
        headers[name] = _header(text, kind, required=required)
    if operation.idempotent:
        headers |= _REPLAYED_HEADER
    if operation.long_poll:
        headers |= _WAITED_HEADERS
    if operation.query is not None and issubclass(spec.model or BaseModel, Page):
        headers["Link"] = _header('The next page, with rel="next".', required=False)
    return headers


def _implied(method: str, operation: Operation) -> Iterator[int]:
    """The errors that follow from the declarations."""
    yield 422  # an unknown query parameter
    if operation.body is not None:
        yield from (400, 413, 415)
    if operation.limits:
        yield from (429, 503)
    if operation.idempotent:
        yield from (400, 409)
    if operation.requirement is not None:
        yield from (400, 401, 503)  # 400: two different sessions
        required = operation.requirement
        if required.role or method.upper() not in SAFE_METHODS:
            yield 403  # also a cross-site request


def _problems() -> Iterator[tuple[str, Json]]:
    for status in (400, 401, 403, 404, 409, 410, 413, 415, 422, 429, 503):
        yield str(status), _problem(status)


def _problem(status: int, more_headers: Json | None = None) -> Json:
    body = RateLimited if status == 429 else ErrorBody
    return {
        "description": HTTPStatus(status).phrase,
        "headers": _named("X-Request-ID", *_PROBLEM_HEADERS.get(status, [])) | (more_headers or {}),
        "content": {
            media_type: {"schema": {"$ref": _REFERENCE.format(model=model.__name__)}}
            for media_type, model in (
                ("application/json", body),
                ("application/problem+json", ProblemDetails),
            )
        },
    }


def _named(*names: str) -> Json:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}
