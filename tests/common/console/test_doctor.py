"""The page of the doctor: it runs on a button only."""

from collections.abc import Sequence

import pytest
from flask.testing import FlaskClient

from common.pyportal_common.operations import Doctor, Finding

from .pages import Headers, text_of


@pytest.fixture
def examined() -> list[Finding]:
    """What the doctor finds."""
    return []


@pytest.fixture
def runs(examined: list[Finding], monkeypatch: pytest.MonkeyPatch) -> list[Doctor]:
    """The doctors that were asked."""
    runs: list[Doctor] = []

    def examine(doctor: Doctor) -> Sequence[Finding]:
        runs.append(doctor)
        return examined

    monkeypatch.setattr(Doctor, "examine", examine)
    return runs


def test_it_runs_on_the_button_only(
    client: FlaskClient, admin: Headers, runs: list[Doctor]
) -> None:
    page = client.get("/console/doctor", headers=admin)
    assert ("Check now" in text_of(page), "Findings" in text_of(page)) == (True, False)
    assert runs == []

    again = client.get("/console/doctor?run=1", headers=admin)

    assert len(runs) == 1
    assert "All is well. Findings Check" in text_of(again)
    assert "data-refresh" not in again.text


def test_findings_say_their_states_in_words(
    client: FlaskClient, admin: Headers, examined: list[Finding], runs: list[Doctor]
) -> None:
    examined += [
        Finding("sql", "ok", "answers", milliseconds=340.0),
        Finding("mail", "wrong", "\x1b<b>refused", "see SMTP_*"),
        Finding("redis", "unseen", "no answer", "see that it runs"),
    ]

    page = client.get("/console/doctor?run=1", headers=admin)

    text = text_of(page)
    assert "2 findings to look at." in text
    assert "sql ok answers" in text
    assert "340 ms" in text
    assert "\\x1b&lt;b&gt;refused" in page.text
    assert "mail wrong" in text
    assert "redis unseen no answer see that it runs" in text
    assert "<b>" not in page.text
    assert len(runs) == 1


def test_the_doctor_of_the_service_answers(client: FlaskClient, admin: Headers) -> None:
    page = client.get("/console/doctor?run=1", headers=admin)

    assert "redis caches ok Redis" in text_of(page)
    assert "workers wrong no worker has reported for 15 s start a worker" in text_of(page)


def test_it_follows_the_overview(client: FlaskClient, admin: Headers) -> None:
    navigation = client.get("/console/doctor", headers=admin).text.partition("<nav")[2]

    assert navigation.index("Overview") < navigation.index("Doctor") < navigation.index("Jobs")
