"""Jobs of all users, without their content."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Annotated

from flask import Blueprint, Response
from pydantic import Field

from ...fields import MAX_ID
from ...operations import BulkAct, JobFilter, JobOperations, NotOwned, Unknown
from ...web import Page, PageQuery, View, body, query, respond, responses
from ..guard import Guard
from .acts import ActBody, ActOut, Ids, respond_act
from .choices import narrowed
from .lists import Text, respond_found
from .narrowing import Narrowing
from .paths import one_of
from .problems import invalid

_UserId = Annotated[int, Field(ge=0, le=MAX_ID)]


class JobSearch(Narrowing, PageQuery):
    """The query of a list of jobs."""

    status: str | None = Field(None, description="Only jobs in this state.")
    user_id: _UserId | None = Field(None, description="Only jobs of this user.")

    def filter(self, kind: str) -> JobFilter:
        """The filter of the operations."""
        return JobFilter(kind, self.status, self.user_id, None, self.since, self.until, self.error)


class JobAct(Narrowing, ActBody):
    """Which jobs are meant: at least one field of a filter, or `all`."""

    status: str | None = None
    user_id: _UserId | None = Field(None, examples=[7])
    ids: Ids | None = Field(None, examples=[[17, 18]])

    def filter(self, kind: str) -> JobFilter:
        """The filter of the operations."""
        ids = tuple(self.ids) if self.ids else None
        return JobFilter(kind, self.status, self.user_id, ids, self.since, self.until, self.error)


class JobRetry(JobAct):
    """Which jobs are run again."""


class JobCancel(JobAct):
    """Which jobs are cancelled."""


class JobOut(View):
    """A job."""

    kind: str
    id: int
    type: str
    status: str = Field(examples=["failed"])
    priority: str
    user_id: int | None
    attempts: int
    progress: int
    error: Text | None
    created_at: datetime
    due_at: datetime | None
    started_at: datetime | None
    finished_at: datetime | None
    updated_at: datetime
    lease_until: datetime | None = Field(description="Until when its worker has claimed it.")
    cancel_requested_at: datetime | None


class AttemptOut(View):
    """An attempt at a delivery."""

    number: int
    started_at: datetime
    ended_at: datetime | None
    outcome: str | None = Field(
        description="`sent`, `failed` or `put off`; null while it runs, and if its worker died."
    )
    answer: Text | None = Field(
        description="What the mail server said, or the status of the webhook's response.",
        examples=["503"],
    )
    reason: Text | None = Field(description="Why it failed.")


class JobDetails(JobOut):
    """A job with the attempts to deliver it."""

    deliveries: list[AttemptOut] | None = Field(
        description="The latest hundred, the oldest first; null for a kind that delivers nothing."
    )


def job_routes(jobs: JobOperations, admin: Guard) -> Blueprint:
    """The routes about single jobs, and about those that meet a filter."""
    routes = Blueprint("jobs", __name__, url_prefix="/jobs")
    _add_lists(routes, jobs, admin)
    _add_acts(routes, jobs, admin)
    return routes


def _add_lists(routes: Blueprint, jobs: JobOperations, admin: Guard) -> None:
    kind = one_of(jobs.kinds, "kind")

    @routes.get(f"/{kind}")
    @admin
    @query(narrowed(JobSearch, status=jobs.states))
    @responses(Page[JobOut], problems=[404])
    def list_jobs(kind: str, query: JobSearch) -> Response:
        """List the jobs of a kind, of all users, the newest first.

        With `error` a page may be short, or empty, and have a next one.
        """
        with _filter_refused():
            page = jobs.page(query.filter(kind), limit=query.limit, cursor=query.cursor)
        return respond_found(JobOut, page)

    @routes.get(f"/{kind}/<id:job_id>")
    @admin
    @responses(JobDetails, problems=[404])
    def show_job(kind: str, job_id: int) -> Response:
        """Show a job, and what receivers answered to it."""
        job = JobOut.model_validate(jobs.show(kind, job_id))
        deliveries = jobs.attempts(kind, job_id)
        return respond(JobDetails.model_validate({**dict(job), "deliveries": deliveries}))


def _add_acts(routes: Blueprint, jobs: JobOperations, admin: Guard) -> None:
    kind = one_of(jobs.kinds, "kind")

    @routes.post(f"/{kind}/retry")
    @admin
    @body(narrowed(JobRetry, status=jobs.retryable))
    @responses(ActOut, problems=[404])
    def retry_jobs(kind: str, body: JobRetry) -> Response:
        """Run failed or cancelled jobs again, the oldest first; without a state the failed ones.

        At most 1,000 a request: `left` says how many are left.
        """
        return act_on_jobs(jobs.to_retry, kind, body)

    @routes.post(f"/{kind}/cancel")
    @admin
    @body(narrowed(JobCancel, status=jobs.cancellable))
    @responses(ActOut, problems=[404])
    def cancel_jobs(kind: str, body: JobCancel) -> Response:
        """Cancel waiting jobs at once, and running ones at their next step.

        At most 1,000 a request: `left` says how many are left.
        """
        return act_on_jobs(jobs.to_cancel, kind, body)

    def act_on_jobs(prepare: Callable[..., BulkAct], kind: str, body: JobAct) -> Response:
        with _filter_refused():
            act = prepare(body.filter(kind), every=body.all)
        return respond_act(act, body)


@contextmanager
def _filter_refused() -> Iterator[None]:
    try:
        yield
    except NotOwned as error:
        raise invalid("userId", error) from None
    except Unknown as error:
        raise invalid("status", error) from None
