"""The spans of requests, attempts and messages, as OpenTelemetry's SDK ends them."""

import io
import json
import logging
import os
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest
from flask import Flask
from flask.testing import FlaskClient
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import SpanKind, StatusCode
from sqlalchemy import select

from common.pyportal_common import spans
from common.pyportal_common.cache_handlers import Cache, Policy, RedisClient
from common.pyportal_common.db import Database
from common.pyportal_common.jobs import JobRunner, Outcome
from common.pyportal_common.jobs.services import BaseServices
from common.pyportal_common.logging import logging_config
from common.pyportal_common.settings import ConfigurationError, ServiceSettings
from common.pyportal_common.testing.raw_servers import RawServer
from common.pyportal_common.testing.recorded_spans import (
    RecordedSpans,
    is_child,
    links_of,
    recorded_spans,
    trace_of,
    traceparent_of,
)
from common.pyportal_common.web import login_required

from .load import ROOT
from .operations import Operation, Table
from .outboxes import Base, Message, Outbox, Receiver

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
GIVEN = f"00-{TRACE}-00f067aa0ba902b7-01"
SERVICE = {"X-Service-Token": "a-token-of-another-service"}

NewService = Callable[..., Flask]


@pytest.fixture
def recorded() -> Iterator[RecordedSpans]:
    with recorded_spans() as found:
        yield found


def client_of(
    make_service: NewService, redis_client: RedisClient, **settings: object
) -> FlaskClient:
    """A service with routes that load a value, that fail, and that need a session."""
    loaded = ServiceSettings.load(service_tokens=f"other:{SERVICE['X-Service-Token']}", **settings)
    app = make_service(loaded)
    cache = Cache(redis_client)

    @app.get("/things/<id:thing_id>")
    def show(thing_id: int) -> str:
        value = cache.get_or_load(f"flight:{thing_id}", lambda: thing_id, Policy(ttl=60))
        logging.getLogger("app").warning("Loaded")
        cache.unfence(cache.fence([f"flight:{thing_id}"]))
        return str(value)

    @app.get("/wrong")
    def fail() -> str:
        raise RuntimeError("the address of a user")

    @app.get("/own")
    @login_required()
    def own() -> str:
        return "never"

    return app.test_client()


@pytest.fixture
def client(make_service: NewService, redis_client: RedisClient) -> FlaskClient:
    return client_of(make_service, redis_client)


class TestRequests:
    def test_a_request_is_a_span_with_its_admission_loads_and_fences(
        self, client: FlaskClient, recorded: RecordedSpans
    ) -> None:
        assert client.get("/things/7").text == "7"

        *parts, request = recorded.all()
        assert request.name == "GET /things/<id:thing_id>"
        assert request.kind is SpanKind.SERVER
        assert request.attributes == {
            "http.request.method": "GET",
            "http.route": "/things/<id:thing_id>",
            "http.response.status_code": 200,
        }
        names = [part.name for part in parts]
        assert names == ["admission", "cache.load", "cache.fence", "cache.unfence"]
        assert all(is_child(part, request) for part in parts)
        assert dict(parts[1].attributes or {}) == {"pyportal.cache": "flight"}

    def test_a_value_that_is_cached_is_not_loaded(
        self, client: FlaskClient, redis_client: RedisClient, recorded: RecordedSpans
    ) -> None:
        Cache(redis_client).put("flight:7", 7, 60)

        client.get("/things/7")

        assert recorded.named("cache.load") == []

    def test_an_error_of_ours_is_marked_without_its_text(
        self, client: FlaskClient, recorded: RecordedSpans
    ) -> None:
        assert client.get("/wrong").status_code == 500

        request = recorded.one("GET /wrong")
        assert request.status.status_code is StatusCode.ERROR
        assert "address" not in request.to_json()

    def test_a_refusal_is_no_error_of_ours(
        self, client: FlaskClient, recorded: RecordedSpans
    ) -> None:
        assert client.get("/own").status_code == 401

        request = recorded.one("GET /own")
        assert request.status.status_code is StatusCode.UNSET
        assert dict(recorded.one("admission").attributes or {}) == {"error.type": "Problem"}

    def test_polled_paths_have_no_span(self, client: FlaskClient, recorded: RecordedSpans) -> None:
        for path in ("/livez", "/health", "/metrics"):
            client.get(path)

        assert recorded.all() == []

    def test_names_do_not_grow_with_what_clients_invent(
        self, client: FlaskClient, recorded: RecordedSpans
    ) -> None:
        for path in ("/a/john@example.com", "/b"):
            client.open(path, method="GET")
            client.open(path, method="INVENTED")

        assert {span.name for span in recorded.all()} == {"GET", "HTTP", "admission"}
        assert not any("john" in span.to_json() for span in recorded.all())

    def test_nothing_is_left_for_the_next_request_of_the_thread(
        self, client: FlaskClient, recorded: RecordedSpans
    ) -> None:
        client.get("/wrong")

        assert spans.traceparent() is None
        client.get("/things/7")
        assert len({trace_of(span) for span in recorded.all()}) == 2

    def test_work_outside_of_a_request_or_a_job_has_no_spans(
        self, redis_client: RedisClient, recorded: RecordedSpans
    ) -> None:
        cache = Cache(redis_client)
        cache.unfence(cache.fence(["flight:7"]))
        cache.get_or_load("flight:7", lambda: 7, Policy(ttl=60))

        assert recorded.all() == []


class TestTracesOfCallers:
    def request(self, client: FlaskClient, recorded: RecordedSpans, **headers: str) -> ReadableSpan:
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        assert client.get("/things/7", headers=names).status_code == 200
        return recorded.named("GET /things/<id:thing_id>")[-1]

    def test_a_request_of_a_service_joins_its_trace(
        self, client: FlaskClient, recorded: RecordedSpans
    ) -> None:
        span = self.request(client, recorded, traceparent=GIVEN, **SERVICE)

        assert trace_of(span) == TRACE
        assert links_of(span) == []

    def test_one_of_a_client_links_to_its_trace(
        self, client: FlaskClient, recorded: RecordedSpans
    ) -> None:
        span = self.request(client, recorded, traceparent=GIVEN)

        assert trace_of(span) != TRACE
        assert links_of(span) == [TRACE]

    def test_one_of_a_client_joins_its_trace_if_it_is_configured(
        self, make_service: NewService, redis_client: RedisClient, recorded: RecordedSpans
    ) -> None:
        client = client_of(make_service, redis_client, trace_clients="join")

        assert trace_of(self.request(client, recorded, traceparent=GIVEN)) == TRACE

    def test_a_client_does_not_decide_what_is_sampled(self, client: FlaskClient) -> None:
        with recorded_spans(ALWAYS_OFF) as recorded:
            client.get("/things/7", headers={"traceparent": GIVEN})

        assert recorded.all() == []

    def test_a_wrong_token_is_refused_as_without_a_trace(
        self, client: FlaskClient, recorded: RecordedSpans
    ) -> None:
        client.get("/things/7", headers={"traceparent": GIVEN, "X-Service-Token": "x" * 20})

        assert links_of(recorded.one("GET /things/<id:thing_id>")) == [TRACE]

    @pytest.mark.parametrize(
        "given",
        [
            "",
            "-",
            "00",
            GIVEN.upper(),
            f"{GIVEN},{GIVEN}",  # two headers
            f"{GIVEN}-more",
            f"ff{GIVEN[2:]}",
            f"00-{'0' * 32}-00f067aa0ba902b7-01",
            f"00-{TRACE}-{'0' * 16}-01",
            f"00-{TRACE}-00f067aa0ba902b7-0x",
            f" {GIVEN}",
            "٤" * 55,
            "00-" + "4" * 8000,
            "\x7f" * 55,
        ],
    )
    @pytest.mark.parametrize("joins", ["link", "join"])
    def test_an_invalid_one_is_ignored(
        self,
        make_service: NewService,
        redis_client: RedisClient,
        recorded: RecordedSpans,
        caplog: pytest.LogCaptureFixture,
        joins: str,
        given: str,
    ) -> None:
        client = client_of(make_service, redis_client, trace_clients=joins)
        environ = {"HTTP_TRACEPARENT": given, "HTTP_TRACESTATE": "x" * 9000}

        response = client.get("/things/7", environ_overrides=environ)

        assert response.status_code == 200
        span = recorded.one("GET /things/<id:thing_id>")
        assert (span.parent, list(span.links)) == (None, [])
        assert len(span.to_json()) < 2000
        assert not any("opentelemetry" in record.name for record in caplog.records)

    @pytest.mark.parametrize("flags", ["00", "ff", "03"])
    def test_flags_are_reduced_to_the_one_that_is_known(
        self,
        make_service: NewService,
        redis_client: RedisClient,
        recorded: RecordedSpans,
        flags: str,
    ) -> None:
        client = client_of(make_service, redis_client, trace_clients="join")

        client.get("/things/7", headers={"traceparent": GIVEN[:-2] + flags})

        assert len(recorded.named("GET /things/<id:thing_id>")) == (flags != "00")


class TestLogs:
    def lines(self, log_format: str, client: FlaskClient, monkeypatch: pytest.MonkeyPatch) -> str:
        output = io.StringIO()
        monkeypatch.setattr(sys, "stderr", output)
        before = logging.root.handlers[:]
        logging.config.dictConfig(logging_config(log_format, "INFO"))
        try:
            client.get("/things/7", headers={"X-Request-ID": "the-request"})
        finally:
            logging.root.handlers[:] = before
        return output.getvalue()

    def test_lines_have_the_id_of_the_trace(
        self, client: FlaskClient, recorded: RecordedSpans, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        text = self.lines("text", client, monkeypatch)

        trace_id = trace_of(recorded.all()[-1])
        assert f"WARNING app [the-request] Loaded trace_id={trace_id}\n" in text
        assert text.count(trace_id) == 2  # also in the line of the request

    def test_lines_as_json_have_it_as_a_field(
        self, client: FlaskClient, recorded: RecordedSpans, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        first, *_ = self.lines("json", client, monkeypatch).splitlines()

        assert json.loads(first)["trace_id"] == trace_of(recorded.all()[-1])

    @pytest.mark.parametrize("log_format", ["text", "json"])
    def test_without_traces_there_is_no_such_field(
        self, client: FlaskClient, monkeypatch: pytest.MonkeyPatch, log_format: str
    ) -> None:
        lines = self.lines(log_format, client, monkeypatch)

        assert "Loaded" in lines
        assert "trace_id" not in lines


class TestAttempts:
    @pytest.fixture
    def table(self, sql_url: str) -> Iterator[Table]:
        table = Table(Database(sql_url), attempts=3, lease_seconds=15.0)
        table.create()
        yield table
        table.drop()
        table.database.close()

    def put(self, table: Table) -> int:
        with spans.entry("the cause", kind="server", cause=GIVEN, joins=True):
            return table.put_one()

    def attempt(self, table: Table, outcome: Outcome) -> None:
        def handle(_: object) -> None:
            raise outcome

        for claim in table.jobs.claim(1):
            JobRunner(table.jobs, handle).do(claim)
        with table.database.begin() as tx:
            for row in tx.scalars(select(Operation)):
                if not row.has_ended:
                    row.apply(row.waiting(row.created_at, turn=1))

    def test_the_first_joins_the_trace_and_others_link_to_it(
        self, table: Table, recorded: RecordedSpans
    ) -> None:
        job_id = self.put(table)
        for outcome in (Outcome.retry("Not now"), Outcome.later(0), Outcome.failed("No")):
            self.attempt(table, outcome)

        first, second, third = recorded.named("attempt operations")
        assert is_child(first, recorded.one("the cause"))
        assert first.kind is SpanKind.CONSUMER
        assert first.attributes == {
            "pyportal.job.id": job_id,
            "pyportal.attempt": 1,
            "pyportal.job.outcome": "retry",
        }
        assert len({trace_of(span) for span in (first, second, third)}) == 3
        assert links_of(second) == links_of(third) == [TRACE]
        assert [span.status.status_code is StatusCode.ERROR for span in (first, second, third)] == [
            False,
            False,
            True,
        ]

    def test_one_that_is_handed_back_joins_it_again(
        self, table: Table, recorded: RecordedSpans
    ) -> None:
        self.put(table)
        for outcome in (Outcome.later(0), Outcome.failed("No")):
            self.attempt(table, outcome)

        assert {trace_of(span) for span in recorded.all()} == {TRACE}

    def test_a_retry_by_a_user_belongs_to_the_request_of_it(
        self, table: Table, recorded: RecordedSpans
    ) -> None:
        self.put(table)
        self.attempt(table, Outcome.failed("No"))
        with (
            spans.entry("the retry", kind="server", cause=None, joins=False),
            table.database.begin() as tx,
        ):
            table.jobs.retry(tx.scalars(select(Operation)).one())
        self.attempt(table, Outcome.failed("No"))

        assert is_child(recorded.named("attempt operations")[1], recorded.one("the retry"))

    def test_a_job_of_before_or_with_an_odd_value_has_a_trace_of_its_own(
        self, table: Table, recorded: RecordedSpans
    ) -> None:
        for odd in (None, "", "x" * 55):
            table.put_one()
            with table.database.begin() as tx:
                job = tx.scalars(select(Operation).where(Operation.due_at.is_not(None))).one()
                job.traceparent = odd
            self.attempt(table, Outcome.failed("No"))

        assert all(span.parent is None for span in recorded.all())
        assert len({trace_of(span) for span in recorded.all()}) == 3

    def test_without_traces_a_job_has_none(self, table: Table) -> None:
        table.put_one()
        self.attempt(table, Outcome.failed("No"))

        with table.database.read() as tx:
            assert tx.scalars(select(Operation)).one().traceparent is None


class TestMessages:
    @pytest.fixture
    def receiver(self, serve: Callable[..., RawServer]) -> Receiver:
        return Receiver(serve)

    @pytest.fixture
    def outbox(self, sql_url: str, receiver: Receiver) -> Iterator[Outbox]:
        outbox = Outbox(sql_url, receiver.url)
        Base.metadata.drop_all(outbox.database.engine)
        Base.metadata.create_all(outbox.database.engine)
        yield outbox
        Base.metadata.drop_all(outbox.database.engine)
        outbox.database.close()

    def add(self, outbox: Outbox, cause: str) -> None:
        with spans.entry(cause, kind="server", cause=None, joins=False):
            outbox.add(channel="email")

    def traceparents(self, receiver: Receiver) -> list[str | None]:
        return [headers.get("traceparent") for _, headers, _ in receiver.requests]

    def test_one_carries_its_trace_in_the_header(
        self, outbox: Outbox, receiver: Receiver, recorded: RecordedSpans
    ) -> None:
        self.add(outbox, "the cause")
        outbox.delivery.run_pending()

        delivery = recorded.one("delivery")
        assert is_child(delivery, recorded.one("the cause"))
        assert self.traceparents(receiver) == [traceparent_of(delivery)]

    def test_each_of_a_batch_carries_its_own(
        self, outbox: Outbox, receiver: Receiver, recorded: RecordedSpans
    ) -> None:
        for number in range(3):
            self.add(outbox, f"cause {number}")
        outbox.delivery.run_pending()

        assert receiver.batches == [3]
        deliveries = {traceparent_of(span): span for span in recorded.named("delivery")}
        for number, given in enumerate(self.traceparents(receiver)):
            assert is_child(deliveries[str(given)], recorded.one(f"cause {number}"))

    def test_another_attempt_is_a_new_trace_with_a_link(
        self, outbox: Outbox, receiver: Receiver, recorded: RecordedSpans
    ) -> None:
        receiver.statuses = [503]
        self.add(outbox, "the cause")
        outbox.delivery.run_pending()
        with outbox.database.begin() as tx:
            message = tx.scalars(select(Message)).one()
            outbox.postpone(message, 0)
        outbox.delivery.run_pending()

        first, second = recorded.named("delivery")
        cause = trace_of(recorded.one("the cause"))
        assert (trace_of(first), links_of(first)) == (cause, [])
        assert links_of(second) == [cause]
        assert self.traceparents(receiver) == [traceparent_of(first), traceparent_of(second)]

    def test_without_traces_they_carry_none(self, outbox: Outbox, receiver: Receiver) -> None:
        outbox.add(channel="email")
        outbox.delivery.run_pending()

        assert self.traceparents(receiver) == [None]


class TestSetting:
    def test_without_it_nothing_that_makes_spans_is_imported(self) -> None:
        program = (
            "import sys\n"
            "from common.pyportal_common import spans\n"
            "from common.pyportal_common.settings import ServiceSettings\n"
            "import common.pyportal_common.web, common.pyportal_common.jobs.services\n"
            "spans.start('test', ServiceSettings.load().otel_exporter_otlp_endpoint)\n"
            "assert not spans.are_reported()\n"
            "assert 'common.pyportal_common.otel_traces' not in sys.modules\n"
            # redis-py imports the API where it is installed.
            "assert not {'opentelemetry.sdk.trace', 'opentelemetry.exporter'} & {*sys.modules}\n"
        )
        subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True)

    @pytest.mark.parametrize("value", ["localhost:4318", "grpc://localhost:4317"])
    def test_a_wrong_one_is_refused(self, value: str) -> None:
        with pytest.raises(ConfigurationError, match="OTEL_EXPORTER_OTLP_ENDPOINT"):
            ServiceSettings.load(otel_exporter_otlp_endpoint=value)

    def test_a_collector_that_does_not_respond_delays_no_exit(
        self, serve: Callable[..., RawServer]
    ) -> None:
        program = (
            "import sys\n"
            "from common.pyportal_common import exits, spans\n"
            "spans.start('test', sys.argv[1])\n"
            "with spans.entry('request', kind='server', cause=None, joins=False):\n"
            "    assert spans.traceparent()\n"
            "exits.exit_at_once()\n"
        )
        url = serve(lambda client: client.wait()).url
        environment = {**os.environ, "OTEL_EXPORTER_OTLP_TIMEOUT": "600"}  # seconds

        subprocess.run(
            [sys.executable, "-c", program, url], cwd=ROOT, env=environment, check=True, timeout=60
        )

    def test_only_who_wants_traces_installs_what_they_need(self) -> None:
        for name in ("run", "local"):
            assert "opentelemetry" not in (ROOT / "requirements" / f"{name}.txt").read_text()

    def test_without_the_packages_the_start_says_what_to_install(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http", None)
        monkeypatch.delitem(
            sys.modules, "opentelemetry.exporter.otlp.proto.http.trace_exporter", raising=False
        )

        settings = ServiceSettings.load(otel_exporter_otlp_endpoint="http://localhost:4318")
        expected = (
            r"OTEL_EXPORTER_OTLP_ENDPOINT: .* pip install 'pyportal-common\[otel\]'"
            r".* requirements/traces\.txt.* TRACES=1"
        )
        with pytest.raises(ConfigurationError, match=expected):
            BaseServices("test", settings, redis_db=0)
