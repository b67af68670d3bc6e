"""A job in SQL that a worker's runner does, and an address that outbound requests refuse."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from ipaddress import ip_address
from typing import Any

from sqlalchemy import Index
from sqlalchemy.orm import Mapped

from common.pyportal_common.db import Base, Database
from common.pyportal_common.jobs import JobRow, JobRunner, Jobs, Outcome, Run, job_indexes
from common.pyportal_common.jobs.cron import Cron
from common.pyportal_common.outbound import is_public


class Mail(JobRow, Base):
    """A mail to send."""

    __tablename__ = "mails"
    __table_args__ = (Index("ix_mails_to", "to"), *job_indexes("mails"))

    to: Mapped[str]

    @classmethod
    def cache_keys(cls, _: Mapping[str, Any]) -> Iterable[str]:
        """None: mails are not cached."""
        return ()


def send(run: Run[Mail]) -> None:
    """Send a mail."""
    sent.append(run.job.to)
    with run.transaction(Outcome.done()):
        pass


sent: list[str] = []
database = Database("sqlite:///mails.sqlite3")
Base.metadata.create_all(database.engine)
jobs = Jobs(database, Mail, kind="mails", time_limit=lambda _: 30.0, type_of=lambda _: "mail")
with database.begin() as tx:
    jobs.put(tx, Mail(to="john@example.com", priority="normal", progress=0, attempts=0))
(claim,) = jobs.claim(1)
JobRunner(jobs, send).do(claim)
assert sent == ["john@example.com"]
assert not jobs.claim(1)
database.close()

assert Cron("0 3 * * *", "Europe/Berlin").after(datetime(2026, 1, 1, tzinfo=UTC)).hour == 2
assert not is_public(ip_address("127.0.0.1"))
