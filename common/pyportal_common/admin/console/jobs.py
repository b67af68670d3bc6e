"""Jobs: their kinds, the jobs of a kind, one job; retry, cancel, pause, resume."""

from collections.abc import Callable
from dataclasses import asdict

from flask import Response
from pydantic import Field

from ...db import Actor
from ...fields import MAX_ID
from ...jobs import JobsMonitor
from ...operations import BulkAct, JobFilter, JobOperations, KindOperations
from ...web.pages import PageFilter, read_filter
from .acts import BackForm, RowsForm, plan_for_rows
from .console import Console, Plan, link
from .narrowing import Narrowing


class JobSearch(Narrowing, PageFilter):
    """The query of the list of jobs."""

    status: str | None = Field(None, max_length=50)
    user_id: int | None = Field(None, ge=0, le=MAX_ID)

    def of(self, kind: str) -> JobFilter:
        """The filter for jobs of a kind."""
        return JobFilter(kind, self.status, self.user_id, None, self.since, self.until, self.error)


class JobsForm(Narrowing, RowsForm):
    """Which jobs an act concerns."""

    status: str | None = Field(None, max_length=50)
    user_id: int | None = Field(None, ge=0, le=MAX_ID)

    def of(self, kind: str) -> JobFilter:
        """The filter for jobs of a kind."""
        ids = self.chosen_ids()
        return JobFilter(kind, self.status, self.user_id, ids, self.since, self.until, self.error)


class PauseForm(BackForm):
    """Why a kind is paused."""

    reason: str = Field("", max_length=500)


def add_job_pages(
    console: Console, jobs: JobOperations, job_kinds: KindOperations, monitor: JobsMonitor
) -> None:
    """Add the pages about jobs, and the acts on them and on their kinds."""

    @console.page("/jobs", navigation="Jobs")
    def kinds() -> Response:
        return console.show(
            "jobs.html",
            stats=job_kinds.stats(),
            workers_of=monitor.report().workers_of,
            kinds=jobs.kinds,
            failed_of=lambda kind: jobs.states_of(kind).failed,
        )

    @console.page("/jobs/<kind>")
    def job_list(kind: str) -> Response:
        wanted = read_filter(JobSearch)
        return console.show(
            "job_list.html",
            kind=kind,
            wanted=wanted,
            states=jobs.states_of(kind),
            state_names=asdict(jobs.states_of(kind)).values(),
            has_users=jobs.has_users(kind),
            page=jobs.page(wanted.of(kind), cursor=wanted.cursor),
        )

    @console.page("/jobs/<kind>/<id:job_id>")
    def job(kind: str, job_id: int) -> Response:
        found = jobs.show(kind, job_id)
        return console.show(
            "job.html",
            job=found,
            states=jobs.states_of(kind),
            attempts=jobs.attempts(kind, job_id),
        )

    _add_acts(console, jobs)
    _add_pauses(console, job_kinds)


def _add_acts(console: Console, jobs: JobOperations) -> None:
    def plan(
        verb: str, done: str, prepare: Callable[..., BulkAct], form: JobsForm, kind: str
    ) -> Plan:
        wanted = form.of(kind)
        given = wanted.given()
        return plan_for_rows(
            verb,
            done,
            kind.removesuffix("s"),
            prepare(wanted, every=not given),
            form.back_or(link(f"/jobs/{kind}")),
            given,
        )

    @console.act("/jobs/<kind>/retry", JobsForm)
    def retry_jobs(form: JobsForm, kind: str) -> Plan:
        return plan("Retry", "Retried", jobs.to_retry, form, kind)

    @console.act("/jobs/<kind>/cancel", JobsForm)
    def cancel_jobs(form: JobsForm, kind: str) -> Plan:
        return plan("Cancel", "Cancelled", jobs.to_cancel, form, kind)


def _add_pauses(console: Console, job_kinds: KindOperations) -> None:
    @console.act("/jobs/<kind>/pause", PauseForm)
    def pause(form: PauseForm, kind: str) -> Plan:
        def act(actor: Actor) -> str:
            job_kinds.pause(actor, kind, reason=form.reason)
            return f"{kind} is paused"

        return Plan(
            f"Pause {kind}?",
            "Pause",
            act,
            form.back_or(link("/jobs")),
            asks={"reason": "Reason"},
            explanation="None starts from the next second on. Running ones finish.",
        )

    @console.act("/jobs/<kind>/resume", BackForm)
    def resume(form: BackForm, kind: str) -> Plan:
        def act(actor: Actor) -> str:
            job_kinds.resume(actor, kind)
            return f"{kind} is resumed"

        return Plan(f"Resume {kind}?", "Resume", act, form.back_or(link("/jobs")))
