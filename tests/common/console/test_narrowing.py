"""Filters by time and by the text of an error: in lists, in acts, and in lists read in steps."""

import html
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from urllib.parse import quote

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import update
from werkzeug.test import TestResponse

from common.pyportal_common.db.audit import AUDIT
from common.pyportal_common.operations import selection

from .. import outboxes
from ..operations import Operation
from .pages import Headers, confirm, ids_in, text_of
from .service import Services, put_failed, put_failed_messages

JOBS, OUTBOX, AUDITED = "/console/jobs/operations", "/console/outbox", "/console/audit"
HOUR = timedelta(hours=1)

BAD = [
    ("since", "2w"),
    ("since", "0001-01-01"),
    ("until", "noon"),
    ("until", "9999-12-31T23:59:59Z"),
    ("error", " "),
    ("error", "a\nb"),
    ("error", "a\0b"),
    ("error", "x" * 201),
]


@pytest.fixture
def get(client: FlaskClient, admin: Headers) -> Callable[[str], TestResponse]:
    return lambda path: client.get(path, headers=admin)


def set_rows(services: Services, ids: list[int], of: type, errors: dict[float, str]) -> None:
    """Change when rows were created, in hours before now, and their errors."""
    with services.database.engine.begin() as connection:
        for row_id, (hours, error) in zip(ids, errors.items(), strict=True):
            at = datetime.now(UTC) - hours * HOUR
            changed = update(of).where(of.id == row_id)  # type: ignore[attr-defined]  # JobRow
            connection.execute(changed.values(created_at=at, error=error))


@pytest.fixture
def jobs(services: Services) -> list[int]:
    """Failed jobs: of 5, 3 and 1 hours ago because of rain, and of now because of snow."""
    ids = put_failed(services.table, 4)
    set_rows(services, ids, Operation, {5: "It RAINS", 3: "It RAINS", 1: "It RAINS", 0: "It snows"})
    return ids


@pytest.fixture
def messages(services: Services) -> list[int]:
    """Messages that have failed: 3 hours ago and now."""
    ids = put_failed_messages(services, 2)
    set_rows(services, ids, outboxes.Message, {3: "It answered 422", 0: "It answered 503"})
    return ids


def shown(page: TestResponse) -> list[int]:
    assert page.status_code == 200, page.text
    return [int(each) for each in ids_in(page)]


def form_in(page: TestResponse, action: str) -> dict[str, str]:
    """The fields of the form of an act on a page."""
    [form] = re.findall(
        rf'(?s)<form class="act" method="post" action="{action}">.*?</form>', page.text
    )
    fields = re.findall(r'name="([^"]+)" value="([^"]*)"', form)
    return {name: html.unescape(value) for name, value in fields}


class TestLists:
    def test_jobs(self, get: Callable[[str], TestResponse], jobs: list[int]) -> None:
        oldest, old, new, newest = jobs
        at_two = quote(f"{datetime.now(UTC) - 2 * HOUR:%Y-%m-%dT%H:%M}")

        assert shown(get(f"{JOBS}?since=2h")) == shown(get(f"{JOBS}?since={at_two}"))
        assert shown(get(f"{JOBS}?since=2h")) == [newest, new]
        assert shown(get(f"{JOBS}?since=4h&until=30m&error=rains")) == [new, old]
        assert shown(get(f"{JOBS}?error=RAINS&status=failed")) == [new, old, oldest]
        assert "No jobs match." in text_of(get(f"{JOBS}?until=6h"))

    def test_messages(self, get: Callable[[str], TestResponse], messages: list[int]) -> None:
        old, new = messages

        assert shown(get(f"{OUTBOX}?since=2h")) == shown(get(f"{OUTBOX}?error=503")) == [new]
        assert shown(get(f"{OUTBOX}?until=2h&service=notification&error=422")) == [old]
        assert "No failed message matches." in text_of(get(f"{OUTBOX}?error=404"))

    def test_acts(
        self, get: Callable[[str], TestResponse], services: Services, client: FlaskClient,
        admin: Headers,
    ) -> None:  # fmt: skip
        put_failed(services.table)
        client.post(f"{JOBS}/retry", data={"confirmed": "true", "status": "failed"}, headers=admin)
        with services.database.engine.begin() as connection:
            connection.execute(update(AUDIT).values(at=datetime.now(UTC) - 3 * HOUR))

        assert "jobs retry" in text_of(get(f"{AUDITED}?since=4h&until=2h"))
        for query in ("since=2h", "until=4h"):
            assert "Nothing matches." in text_of(get(f"{AUDITED}?{query}"))

    def test_fields_keep_what_was_written_and_say_how(
        self, get: Callable[[str], TestResponse], jobs: list[int]
    ) -> None:
        page = get(f"{JOBS}?since=2h&error=%3Cb%3E")

        assert 'name="since" type="text" value="2h"' in page.text
        assert page.text.count('placeholder="2h or 2026-11-26T08:15"') == 2
        assert 'name="error" type="text" value="&lt;b&gt;"' in page.text
        assert jobs

    @pytest.mark.parametrize(("field", "value"), BAD)
    def test_a_wrong_value_is_explained(
        self, get: Callable[[str], TestResponse], field: str, value: str
    ) -> None:
        for path in (JOBS, OUTBOX, AUDITED):
            found = text_of(get(f"{path}?{field}={quote(value)}"), 422)
            assert f"{field} :" in found, found


class TestActs:
    def test_an_act_concerns_what_its_page_counted(
        self,
        app: Flask,
        client: FlaskClient,
        admin: Headers,
        get: Callable[[str], TestResponse],
        services: Services,
        jobs: list[int],
    ) -> None:
        path = f"{JOBS}?since=4h&until=2h&error=rains"
        asked = client.post(
            f"{JOBS}/retry", data=form_in(get(path), f"{JOBS}/retry"), headers=admin
        )
        found = text_of(asked)
        done = confirm(client, admin, asked)

        [times] = re.findall(r"Retry 1 operation\? since (\S+) until (\S+) error rains", found)
        statuses = [services.table.status(each) for each in jobs]
        assert statuses == ["failed", "pending", "failed", "failed"]
        [entry] = app.extensions["services"].audit.page().items
        assert entry.filter == {"since": times[0], "until": times[1], "error": "rains"}
        assert done.headers["Location"] == path

    def test_2h_is_a_fixed_time_from_the_question_on(
        self,
        client: FlaskClient,
        admin: Headers,
        services: Services,
        jobs: list[int],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        form = {"since": "2h", "status": "failed"}
        asked = client.post(f"{JOBS}/retry", data=form, headers=admin)
        assert "Retry 2 operations?" in text_of(asked)

        # Half a year passes: two hours ago there was nothing.
        monkeypatch.setattr(
            "common.pyportal_common.operations.filters.timedelta",
            lambda **_: timedelta(days=-180),
        )
        confirm(client, admin, asked)

        assert [services.table.status(each) for each in jobs[2:]] == ["pending", "pending"]

    @pytest.mark.parametrize("act", ["resend", "discard"])
    def test_messages(
        self, app: Flask, client: FlaskClient, admin: Headers, messages: list[int], act: str,
        get: Callable[[str], TestResponse],
    ) -> None:  # fmt: skip
        form = form_in(get(f"{OUTBOX}?until=2h&error=422"), f"{OUTBOX}/{act}")

        asked = client.post(f"{OUTBOX}/{act}", data=form, headers=admin)
        found = text_of(asked)
        confirm(client, admin, asked)

        assert f"{act.capitalize()} 1 failed message? service any until 2" in found
        assert shown(get(OUTBOX)) == messages[1:]
        [entry] = app.extensions["services"].audit.page().items
        assert entry.filter.keys() == {"until", "error"}
        assert (entry.filter["error"], entry.count) == ("422", 1)

    @pytest.mark.parametrize(("field", "value"), BAD)
    def test_a_wrong_value_is_refused(
        self, client: FlaskClient, admin: Headers, services: Services, jobs: list[int],
        field: str, value: str,
    ) -> None:  # fmt: skip
        form = {field: value, "confirmed": "true"}
        for path in (f"{JOBS}/retry", f"{JOBS}/cancel", f"{OUTBOX}/resend", f"{OUTBOX}/discard"):
            assert f"{field} :" in text_of(client.post(path, data=form, headers=admin), 422)
        assert {services.table.status(each) for each in jobs} == {"failed"}


class TestSteps:
    """A step of a list that looks through few rows may find none, and more may follow."""

    @pytest.fixture(autouse=True)
    def _one_row_a_step(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(selection, "_EXAMINED", 1)

    def test_jobs_are_found_by_following_the_links(
        self, get: Callable[[str], TestResponse], jobs: list[int]
    ) -> None:
        path, found, texts = f"{JOBS}?error=rains", [], []
        while path:
            page = get(path)
            found += shown(page)
            texts.append(text_of(page))
            path = "".join(
                html.unescape(each) for each in re.findall(r'rel="next" href="(.+?)"', page.text)
            )

        assert found == jobs[2::-1]
        assert "None in this part; older ones may follow. Next page" in texts[0]
        assert "Retry all that match" in texts[0]
        assert "Retry selected" not in texts[0]
        assert texts[-1].endswith("No more match. First page")

    def test_an_act_changes_what_is_in_later_parts(
        self, client: FlaskClient, admin: Headers, services: Services, jobs: list[int],
        get: Callable[[str], TestResponse],
    ) -> None:  # fmt: skip
        form = form_in(get(f"{JOBS}?error=rains"), f"{JOBS}/retry")

        confirm(client, admin, client.post(f"{JOBS}/retry", data=form, headers=admin))

        assert {services.table.status(each) for each in jobs[:3]} == {"pending"}

    def test_messages(self, get: Callable[[str], TestResponse], messages: list[int]) -> None:
        first = get(f"{OUTBOX}?error=422")
        [path] = re.findall(r'rel="next" href="(.+?)"', first.text)

        assert "None in this part; older ones may follow." in text_of(first)
        assert "Resend all that match" in text_of(first)
        assert shown(get(html.unescape(path))) == messages[:1]
