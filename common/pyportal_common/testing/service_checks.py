"""What every service must do: its tests subclass `ServiceChecks` and `BodyChecks`.

They find the routes in /openapi.json, and call each as an admin, whom no limit stops.
"""

# ruff: noqa: S101  assertions: these are tests

import html
import itertools
import json
import re
import shlex
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import pytest
from flask import Flask
from flask.testing import FlaskClient
from pydantic_settings import BaseSettings
from sqlalchemy import create_engine, func, select
from werkzeug.test import TestResponse

from ..cache_handlers import keys
from ..cache_handlers.keys import KINDS
from ..commands import operator_commands
from ..db import Base, Database
from ..db.idempotency import KEYS
from ..db.migrations import check, migrate
from ..db.row_checks import RowCheck
from ..jobs import Heartbeat
from ..jobs.services import BaseServices
from ..jobs.sweeper import Sweeper
from ..operations.peers import PROBES
from ..redis_server import RedisServer, free_port
from ..settings import SERVICE_TOKEN_HEADER
from ..web import CommonProblem, ProblemType
from ..web.declarations import path_of
from .admin_checks import AdminChecks
from .documents import run_examples
from .kit import API, ServiceUnderTest, json_of, problem_of, run_schedule, session_headers
from .plans import PlanChecks
from .problem_tables import documented, rows_of
from .redis_errors import REPLIES
from .refusing_relay import RefusingRelay

JSON = "application/json"
_OF_FLASK = {"routes", "run", "shell"}
METHODS = {"GET", "POST", "PUT", "PATCH", "DELETE"}

MALFORMED = [
    b"",
    b"{",
    b"not json",
    b"{'a': 1}",
    b'{"a": NaN}',
    b'{"a": Infinity}',
    b'{"a": 1,}',
    "\ufeff{}".encode(),
    "{}".encode("utf-16"),
    b"\x00",
    b'{"a": "\xff"}',
    b'{"a": "\\ud800"}',
    b'{"\\ud800": 1}',
    b'{"a": ' + b"9" * 5000 + b"}",
    b"[" * 3_000,
    b'{"a":' * 3_000,
    b'{"a": ' + b"[" * 7_000 + b"]" * 7_000 + b"}",
]
OTHER_TYPES: list[Any] = [[], [{}], "text", 7, None, True]
OTHER_CONTENT_TYPES = [
    None,
    "text/plain",
    "application/x-www-form-urlencoded",
    "multipart/form-data",
    "application/json; charset=latin-1",
]


@dataclass(frozen=True)
class Operation:
    """A route of the API, and its description."""

    method: str
    path: str
    description: dict[str, Any]


Call = Callable[..., TestResponse]


def send(
    client: FlaskClient, operation: Operation, object_id: str | None = None, **request: Any
) -> TestResponse:
    """Call an operation for the objects with an id, or for some that its description names."""
    path = operation.path
    for parameter in operation.description.get("parameters", []):
        if parameter["in"] == "path":
            schema: dict[str, Any] = parameter["schema"]
            some = (schema.get("enum") or schema.get("examples") or ["1"])[0]
            path = path.replace(f"{{{parameter['name']}}}", object_id or some)
    return client.open(path, method=operation.method, **request)


def is_for_services(operation: Operation) -> bool:
    """Whether only other services may call the operation."""
    return operation.description.get("security") == [{"service": []}]


def _without_example(group: Any) -> set[str]:
    """The commands in a group and its groups that have no example."""
    found: set[str] = set()
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            found |= _without_example(command)
        elif not hasattr(command, "example"):
            found.add(name)
    return found


def _documented_headers(document: dict[str, Any]) -> tuple[set[str], set[str]]:
    """The headers of a service's requests and responses, by its OpenAPI document."""
    sent: set[str] = set()
    received: set[str] = set()
    nodes: list[Any] = [document["paths"], document["components"]["responses"]]
    while nodes:
        node = nodes.pop()
        if isinstance(node, dict):
            if node.get("in") == "header":
                sent.add(node["name"])
            received |= set(node.get("headers", ()))
            nodes += node.values()
        elif isinstance(node, list):
            nodes += node
    return sent, received


class _RouteChecks:
    """Calls the routes of a service."""

    @pytest.fixture
    def operations(self, client: FlaskClient) -> list[Operation]:
        """All routes of the API."""
        return [
            Operation(method.upper(), path, description)
            for path, methods in json_of(client.get("/openapi.json"))["paths"].items()
            for method, description in methods.items()
        ]

    @pytest.fixture
    def call(self, client: FlaskClient) -> Call:
        """Calls an operation as another admin each time: call(operation, data=b"")."""
        numbers = itertools.count(1000)

        def call(operation: Operation, **request: Any) -> TestResponse:
            number = next(numbers)
            address = f"10.0.{number // 250}.{number % 250}"
            return send(
                client,
                operation,
                headers=session_headers(number, "admin") | request.pop("headers", {}),
                environ_base={"REMOTE_ADDR": address},
                **request,
            )

        return call


class ServiceChecks(AdminChecks, _RouteChecks):
    """Health, migrations, documentation, and the rules of all routes."""

    settings: ClassVar[Sequence[type[BaseSettings]]]  # that the service reads
    cached_views: ClassVar[Sequence[Any]] = ()  # whose documents it caches

    @pytest.fixture
    def readme(self, service: ServiceUnderTest) -> Path:
        """The service's README."""
        return service.migrations.parent / "README.md"

    @pytest.fixture
    def heartbeat(self, database_url: str) -> Iterator[Heartbeat]:
        """The heartbeat of a worker, which has begun."""
        database = Database(database_url)
        heartbeat = Heartbeat(database, silent_seconds=15)
        heartbeat.beat()
        yield heartbeat
        database.close()

    @pytest.mark.usefixtures("heartbeat")
    def test_a_healthy_service_says_so(
        self, client: FlaskClient, service: ServiceUnderTest
    ) -> None:
        assert client.get("/livez").json == {"status": "ok"}
        assert client.get("/readyz").json == {"status": "ok"}
        health = json_of(client.get("/health"))
        assert health.pop("checks").items() >= {"redis": "ok", "database": "ok"}.items()
        assert health == {"service": service.name, "status": "ok"}

    def test_every_kind_of_error_has_a_page_and_is_in_the_documentation(
        self, client: FlaskClient, readme: Path
    ) -> None:
        title = json_of(client.get("/openapi.json"))["info"]["title"]
        [own] = (each for each in ProblemType.__subclasses__() if each.__module__ == "app.problems")

        assert documented(readme.parent.parent / "docs" / "errors.md", title) == rows_of(own)
        for kind in (*CommonProblem, *own):
            for page in (client.get(kind.uri), client.get("/problems")):
                texts = (kind.code, kind.status, kind.text, kind.meaning)
                assert all(str(text) in html.unescape(page.text) for text in texts)

    def test_every_schedule_is_in_the_table_of_operations(
        self, client: FlaskClient, services: BaseServices, readme: Path
    ) -> None:
        title = json_of(client.get("/openapi.json"))["info"]["title"]
        page = (readme.parent.parent / "docs" / "operations.md").read_text("utf-8")
        section = page.partition("\n### Schedules\n")[2].partition("\n#")[0]

        rows = re.findall(r"^\| `([\w-]+)` \| ([^|]+) \|", section, re.MULTILINE)
        documented = [name for name, where in rows if where == "all" or title in where.split(", ")]
        assert sorted(documented) == sorted(each.name for each in services.schedules())

    def test_old_idempotency_keys_are_deleted(self, services: BaseServices) -> None:
        def insert_key(digest: str, age: timedelta) -> None:
            values = {"scope": "tests", "fingerprint": "0" * 64, "key_digest": digest * 64}
            with services.database.begin(changes_cached=False) as tx:
                tx.execute(KEYS.insert().values(created_at=datetime.now(UTC) - age, **values))

        insert_key("a", timedelta(hours=25))
        insert_key("b", timedelta(hours=23))

        run_schedule(services, "delete-old-keys")

        with services.database.read() as tx:
            assert tx.scalars(select(KEYS.c.key_digest)).all() == ["b" * 64]

    def test_without_a_worker_it_is_degraded(
        self, client: FlaskClient, heartbeat: Heartbeat
    ) -> None:
        heartbeat.end()

        health = client.get("/health")

        assert (health.status_code, json_of(health)["status"]) == (200, "degraded")
        assert json_of(health)["checks"]["workers"] == "none"
        assert "\njob_workers 0.0\n" in client.get("/metrics").text
        assert client.get("/readyz").status_code == 200

    def test_the_metrics_tell_the_age_of_the_oldest_job_of_each_kind(
        self, client: FlaskClient, services: BaseServices
    ) -> None:
        text = client.get("/metrics").text

        kinds = {jobs.kind for jobs, _ in services.handlers}
        kinds |= set() if services.outbox is None else {services.outbox.kind}
        for kind in kinds:
            assert f'\njob_oldest_due_seconds{{kind="{kind}"}} 0.0\n' in text

    def test_every_periodic_statement_uses_an_index(
        self,
        services: BaseServices,
        plans: PlanChecks,
        heartbeat: Heartbeat,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """The kit explains the statements of every test: these are those of workers."""

        def find(check: RowCheck) -> bool:
            plans.collect(check.text)
            return True

        monkeypatch.setattr(RowCheck, "finds_any", find)
        assert services.database.invalidations is not None
        periodic: list[Callable[[], object]] = [
            Sweeper([jobs for jobs, _ in services.handlers]).sweep,
            *(partial(jobs.claim, 1) for jobs, _ in services.handlers),
            *(jobs.recover for jobs, _ in services.handlers),
            *(jobs.make_due for jobs, _ in services.handlers),
            *(jobs.are_ready for jobs, _ in services.handlers),
            *(schedule.run for schedule in services.schedules()),
            *(part.look for part in services.background),
            services.database.invalidations.sweep,
            services.database.invalidations.purge,
            Heartbeat(services.database, silent_seconds=15).beat,
            services.monitor.report,
        ]

        for run in periodic:
            run()

        tables = {jobs.model.__tablename__ for jobs, _ in services.handlers} | {"schedules"}
        tables |= set() if services.outbox is None else {services.outbox.model.__tablename__}
        for table in (*tables, "workers"):
            assert any(f"FROM {table}" in text for text in plans.statements())
        assert plans.faults() == []
        heartbeat.end()

    def test_every_kind_of_cached_value_can_be_compared_with_sql(
        self, services: BaseServices, service: ServiceUnderTest
    ) -> None:
        cached = {keys.kind_of(each.example) for each in KINDS if each.service == service.name}

        assert {kind.name for kind in services.cache_kinds()} == cached

    def test_without_redis_it_is_ready_and_degraded(
        self, make_app: Callable[..., Flask], own_redis: RedisServer
    ) -> None:
        client = make_app(redis_url=own_redis.url).test_client()
        own_redis.kill()

        health = client.get("/health")

        assert health.status_code == 200
        assert json_of(health)["status"] == "degraded"
        assert json_of(health)["checks"]["database"] == "ok"
        assert json_of(health)["checks"]["redis"] == "unavailable"
        assert client.get("/readyz").status_code == 200

    def test_without_redis_no_route_accepts_a_session(
        self, make_app: Callable[..., Flask], own_redis: RedisServer, operations: list[Operation]
    ) -> None:
        client = make_app(redis_url=own_redis.url).test_client(use_cookies=False)
        headers = session_headers(7, "admin")
        own_redis.kill()

        for operation in operations:
            if {"session": []} in operation.description.get("security", []):
                response = send(client, operation, headers=headers)

                assert response.status_code == 503, operation
                assert int(response.headers["Retry-After"]) > 0

    @pytest.mark.usefixtures("without_tls")
    def test_errors_of_redis_give_no_other_5xx_than_503(
        self,
        make_app: Callable[..., Flask],
        redis_server: RedisServer,
        operations: list[Operation],
    ) -> None:
        with closing(RefusingRelay(redis_server.port)) as relay:
            client = make_app(redis_url=relay.url).test_client(use_cookies=False)
            headers = session_headers(7, "admin")
            for reply in ("OOM", "NOPERM", "MOVED", "no code", "LOADING"):
                relay.error = REPLIES[reply]
                for operation in operations:
                    response = send(client, operation, headers=headers)

                    assert response.status_code == 503 or response.status_code < 500, operation
                assert json_of(client.get("/health"))["status"] == "degraded"

    def test_without_sql_it_is_alive_and_not_ready(self, make_app: Callable[..., Flask]) -> None:
        url = f"postgresql+psycopg://portal@127.0.0.1:{free_port()}/postgres"
        client = make_app(database_url=url).test_client()

        statuses = [client.get(path).status_code for path in ("/livez", "/readyz", "/health")]

        assert statuses == [200, 503, 503]

    def test_a_cached_view_gets_a_new_version_when_its_fields_change(self) -> None:
        recorded = {each.view.__name__: each.digest for each in self.cached_views}
        current = {each.view.__name__: each.current_digest for each in self.cached_views}

        assert recorded == current, "raise the version and record the digest: see CachedView"

    def test_every_command_has_an_example_that_works(
        self, app: Flask, some_job_id: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """`1` in an example is the id of a job."""
        monkeypatch.setenv("ADMIN_PASSWORD", "a-password-of-an-admin")
        runner = app.test_cli_runner()
        found = list(operator_commands(app.cli))
        assert not _without_example(app.cli) - _OF_FLASK
        for words, command in found:
            assert command.example.split()[: len(words)] == words, words
            arguments = [
                str(some_job_id) if word == "1" else word for word in shlex.split(command.example)
            ]

            result = runner.invoke(args=arguments)
            shown = runner.invoke(args=[*words, "--help"]).output

            works = {0, 1} if words == ["doctor"] else {0}  # no worker runs
            assert result.exit_code in works, (command.example, result.output, result.exception)
            if any("--json" in option.opts for option in command.params):
                result = runner.invoke(args=[*arguments, "--json"])
                assert result.exit_code in works, (command.example, result.output)
                assert json.loads(result.stdout), command.example
            assert f"flask --app wsgi {command.example}" in shown
            assert command.help

    def test_the_doctor_asks_whether_its_token_is_accepted_and_nothing_else(
        self, make_app: Callable[..., Flask], service: ServiceUnderTest
    ) -> None:
        tokens = "usermanagement:a-token-of-sixteen-characters"
        client = make_app(service_tokens=tokens).test_client()
        method, path = PROBES[service.name]

        statuses = [
            client.open(path, method=method, headers=headers).status_code
            for headers in (
                {SERVICE_TOKEN_HEADER: "a-token-of-sixteen-characters"},
                {SERVICE_TOKEN_HEADER: "another-token"},
                {},
            )
        ]

        assert statuses == [422, 401, 401]

    def test_migrations_match_the_models_and_can_run_again(
        self, migrated_url: str, service: ServiceUnderTest
    ) -> None:
        check(migrated_url, service.migrations)

        migrate(migrated_url, service.migrations)

        check(migrated_url, service.migrations)

    def test_examples_of_the_readme_run(
        self,
        readme: Path,
        redis_server: RedisServer,
        monkeypatch: pytest.MonkeyPatch,
        tmp_path: Path,
    ) -> None:
        monkeypatch.setenv("REDIS_URL", redis_server.url)
        monkeypatch.chdir(tmp_path)

        run_examples(readme)

    def test_every_variable_is_in_the_readme_and_in_the_example_file(self, readme: Path) -> None:
        text = readme.read_text("utf-8")
        example = readme.with_name(".env.example").read_text("utf-8")

        for settings in self.settings:
            prefix = settings.model_config.get("env_prefix", "")
            for field in settings.model_fields:
                name = f"{prefix}{field}".upper()
                assert f"`{name}`" in text
                assert f"{name}=" in example

    def test_every_endpoint_is_in_the_readme(self, app: Flask, readme: Path) -> None:
        text = readme.read_text("utf-8")

        admin_page = (readme.parent.parent / "docs" / "admin-api.md").read_text("utf-8")
        for rule in app.url_map.iter_rules():
            path = path_of(rule)
            for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}:
                if path.startswith(f"{API}/admin/"):
                    assert f"`{method} {path.removeprefix(API)}`" in admin_page
                    assert "(../docs/admin-api.md)" in text
                elif path.startswith("/app"):
                    assert "(../docs/app.md)" in text
                elif not path.startswith(("/docs/", "/problems/")):
                    assert f"`{method} {path}`" in text

    def test_every_operation_has_its_own_id(self, operations: list[Operation]) -> None:
        ids = [operation.description["operationId"] for operation in operations]

        assert sorted(ids) == sorted(set(ids))

    def test_every_summary_is_a_sentence(self, operations: list[Operation]) -> None:
        for operation in operations:
            assert re.fullmatch(r"[A-Z][^.\n]+", operation.description["summary"])

    def test_every_query_parameter_is_described(self, operations: list[Operation]) -> None:
        for operation in operations:
            for parameter in operation.description.get("parameters", []):
                assert parameter["in"] != "query" or parameter["description"], operation

    def test_the_calls_of_the_introduction_exist(
        self, client: FlaskClient, operations: list[Operation]
    ) -> None:
        introduction = json_of(client.get("/openapi.json"))["info"]["description"]

        calls = re.findall(r"`([A-Z]+) ([^`]+)`", introduction)
        own = {(method, f"{API}{path}") for method, path in calls if not path.startswith(API)}
        assert own
        assert own <= {(operation.method, operation.path) for operation in operations}

    def test_an_unknown_query_parameter_is_refused_by_every_route(
        self, operations: list[Operation], call: Call
    ) -> None:
        for operation in operations:
            if is_for_services(operation):
                continue  # an admin is refused
            response = call(operation, query_string={"unknownOne": "8"}, json={})

            assert response.status_code == 422, operation
            assert json_of(response)["details"] == [
                {"field": "unknownOne", "message": "Unknown parameter"}
            ]

    def test_a_boolean_parameter_is_true_or_false(
        self, operations: list[Operation], call: Call
    ) -> None:
        for operation in operations:
            for parameter in operation.description.get("parameters", []):
                if parameter["in"] != "query" or parameter["schema"].get("type") != "boolean":
                    continue
                for value in ("yes", "1", "True", "on", "", "t"):
                    response = call(operation, query_string={parameter["name"]: value})

                    assert problem_of(response) == (422, [parameter["name"]])

    @pytest.mark.parametrize(
        "object_id", ["0", "-1", "x", "9" * 30, "1.0", "1.5", "%00", "1%0d%0a", "*"]
    )
    def test_an_invalid_id_is_a_404(
        self, operations: list[Operation], call: Call, object_id: str
    ) -> None:
        for operation in operations:
            if "{" in operation.path:
                assert call(operation, object_id=object_id).status_code == 404, operation

    def test_pages_of_other_origins_use_all_headers_of_the_documentation(
        self, make_app: Callable[..., Flask]
    ) -> None:
        client = make_app(cors_origins="http://localhost:3000").test_client()
        sent, received = _documented_headers(json_of(client.get("/openapi.json")))

        origin = {"Origin": "http://localhost:3000"}
        asked = client.options("/", headers=origin | {"Access-Control-Request-Method": "POST"})
        answered = client.get("/", headers=origin)

        allowed = asked.headers["Access-Control-Allow-Headers"].split(", ")
        assert sent <= set(allowed)
        exposed = answered.headers["Access-Control-Expose-Headers"].split(", ")
        assert received - {"Set-Cookie"} <= set(exposed)  # no page can read that one

    def test_another_method_is_a_405_with_allow(
        self, operations: list[Operation], call: Call
    ) -> None:
        for path, description in {one.path: one.description for one in operations}.items():
            allowed = {one.method for one in operations if one.path == path}
            for method in METHODS - allowed:
                response = call(Operation(method, path, description))

                assert response.status_code == 405
                assert set(response.headers["Allow"].split(", ")) - {"HEAD"} == {
                    *allowed,
                    "OPTIONS",
                }


class BodyChecks(_RouteChecks):
    """A malformed body is refused by every route that takes one, and nothing is stored."""

    @pytest.fixture
    def with_body(self, operations: list[Operation]) -> list[Operation]:
        """The routes that take a body of a user."""
        found = [one for one in operations if "requestBody" in one.description]
        assert found
        return [operation for operation in found if not is_for_services(operation)]

    @pytest.fixture(autouse=True)
    def _nothing_is_stored(self, database_url: str) -> Iterator[None]:
        yield
        engine = create_engine(database_url)
        with engine.connect() as connection:
            for table in Base.metadata.sorted_tables:
                assert connection.scalar(select(func.count()).select_from(table)) == 0, table
        engine.dispose()

    def test_malformed_json_is_a_400(self, with_body: list[Operation], call: Call) -> None:
        for operation, data in itertools.product(with_body, MALFORMED):
            response = call(operation, data=data, content_type=JSON)

            assert problem_of(response) == (400, ["body"]), (operation, data)
            assert json_of(response)["request_id"] == response.headers["X-Request-ID"]

    def test_a_duplicate_field_is_a_400_with_its_name(
        self, with_body: list[Operation], call: Call
    ) -> None:
        for operation in with_body:
            response = call(operation, data='{"a": {"b": 1, "b": 2}}', content_type=JSON)

            assert problem_of(response) == (400, ["b"])
            assert json_of(response)["details"][0]["message"] == "Given more than once"

    def test_another_type_than_an_object_is_a_422(
        self, with_body: list[Operation], call: Call
    ) -> None:
        for operation, document in itertools.product(with_body, OTHER_TYPES):
            response = call(operation, data=json.dumps(document), content_type=JSON)

            assert problem_of(response) == (422, ["body"]), (operation, document)

    def test_unknown_fields_are_a_422_with_their_names(
        self, with_body: list[Operation], call: Call
    ) -> None:
        for operation in with_body:
            status, fields = problem_of(call(operation, json={"unknownOne": 1, "__proto__": {}}))

            assert status == 422
            assert {"unknownOne", "__proto__"} <= set(fields)

    def test_any_number_of_unknown_fields_gets_a_short_response(
        self, with_body: list[Operation], call: Call
    ) -> None:
        for operation in with_body:
            response = call(operation, json={f"x{n}": n for n in range(1000)})

            assert response.status_code == 422
            assert len(response.data) < 10_000

    def test_a_body_over_the_limit_is_a_413(self, with_body: list[Operation], call: Call) -> None:
        """MAX_BODY_BYTES is compared before the body is read, the route's own limit after."""
        for operation in with_body:
            for size, limits in ((10_000_000, {1 << 20}), (70_000, {16 << 10, 64 << 10})):
                response = call(operation, data=b"[" * size, content_type=JSON)

                assert problem_of(response) == (413, ["body"])
                message = json_of(response)["details"][0]["message"]
                assert message in {f"At most {limit} bytes" for limit in limits}

    def test_another_content_type_is_a_415(self, with_body: list[Operation], call: Call) -> None:
        for operation, content_type in itertools.product(with_body, OTHER_CONTENT_TYPES):
            response = call(operation, data="{}", content_type=content_type)

            assert response.status_code == 415, (operation, content_type)

    def test_a_compressed_body_is_a_415(self, with_body: list[Operation], call: Call) -> None:
        headers = {"Content-Encoding": "gzip"}
        for operation in with_body:
            response = call(operation, data=b"\x1f\x8b", content_type=JSON, headers=headers)

            assert response.status_code == 415
