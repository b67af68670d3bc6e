"""Rate limits: rates and overrides, who is refused, who is nearest to a limit, and clients."""

from collections.abc import Mapping

from flask import Response
from pydantic import Field

from ...commands.output import plural
from ...db import Actor
from ...operations import DatabaseOperations, LimitOperations, ReadCounts
from ...web.pages import Filter, printable, read_filter
from .acts import BackForm
from .console import Console, Plan, link

_MAX_CLIENT = 300  # characters


class NearestSearch(Filter):
    """The query of the page about the clients that are nearest to a limit."""

    budget: int | None = Field(None, ge=1, le=50_000)


class ClientSearch(Filter):
    """The query of the page about a client."""

    client: str | None = Field(None, max_length=_MAX_CLIENT)


class ClientForm(BackForm):
    """Whose usage is forgotten."""

    client: str = Field(max_length=_MAX_CLIENT)


class OverrideForm(BackForm):
    """A rate for everybody or a role. The page shows what is wrong with it."""

    rate: str = Field("", max_length=40)
    role: str = Field("", max_length=40)


class RoleForm(BackForm):
    """Which override ends."""

    role: str = Field("", max_length=40)


def add_limit_pages(
    console: Console,
    limits: LimitOperations,
    databases: DatabaseOperations,
    read_counts: ReadCounts,
) -> None:
    """Add the pages about rate limits."""

    @console.page("/limits", navigation="Limits")
    def limit_list() -> Response:
        rows = limits.list(read_counts())
        rows = sorted(rows, key=lambda row: (-row.refused, -row.would_refuse, row.name))
        return console.show("limits.html", rows=rows)

    _add_clients(console, limits, databases)
    _add_overrides(console, limits, read_counts)


def _add_clients(console: Console, limits: LimitOperations, databases: DatabaseOperations) -> None:
    @console.page("/limits/nearest")
    def nearest() -> Response:
        budget = read_filter(NearestSearch).budget
        return console.show(
            "limit_nearest.html",
            budget=budget,
            found=limits.nearest(budget=budget) if budget else None,
            size=databases.size("sessions") if budget else None,
        )

    @console.page("/limits/client")
    def client() -> Response:
        name = read_filter(ClientSearch).client
        used = limits.show(name) if name else []
        return console.show("limit_client.html", client=name, used=used)

    @console.act("/limits/clear", ClientForm)
    def clear(form: ClientForm) -> Plan:
        count, name = len(limits.show(form.client)), printable(form.client)

        def act(actor: Actor) -> str:
            return f"Cleared {plural('limit', limits.clear(actor, form.client))} of {name}"

        back = form.back_or(link("/limits/client", client=form.client))
        question = f"Clear {plural('limit', count)} of {name}?"
        explanation = "The client can use each of them from the start."
        return Plan(question, "Clear", act, back, count=count, explanation=explanation)


def _add_overrides(console: Console, limits: LimitOperations, read_counts: ReadCounts) -> None:
    def show(
        name: str, form: OverrideForm, errors: Mapping[str, str], status: int = 200
    ) -> Response:
        return console.show(
            "limit.html",
            status,
            limit=limits.find(name, read_counts()),
            overrides=[(each, each.role or "everybody") for each in limits.overrides(name)],
            form=form,
            errors=errors,
        )

    @console.page("/limits/<name>")
    def limit(name: str) -> Response:
        return show(name, OverrideForm(), {})

    @console.act("/limits/<name>/set", OverrideForm)
    def set_rate(form: OverrideForm, name: str) -> Plan | Response:
        errors = limits.errors_in(name, form.rate, form.role)
        if errors:
            return show(name, form, errors, 422)
        whom = f"users of the role {form.role}" if form.role else "everybody"

        def act(actor: Actor) -> str:
            limits.set(actor, name, form.rate, role=form.role)
            return f"{name} is {form.rate} for {whom}, everywhere within two seconds"

        before = limits.find(name, read_counts())
        about = {"rate of the settings": before.rate, "overrides": ", ".join(before.overrides)}
        question = f"Set {name} to {form.rate} for {whom}?"
        return Plan(question, "Set", act, form.back_or(link(f"/limits/{name}")), filter=about)

    @console.act("/limits/<name>/unset", RoleForm)
    def unset(form: RoleForm, name: str) -> Plan:
        whom = f"users of the role {form.role}" if form.role else "everybody"
        count = limits.count_overrides(name, form.role)

        def act(actor: Actor) -> str:
            unset = limits.unset(actor, name, role=form.role)
            return f"Unset {plural('override', unset)} of {name}"

        question = f"Unset the override of {name} for {whom}?"
        back = form.back_or(link(f"/limits/{name}"))
        return Plan(question, "Unset", act, back, count=count)
