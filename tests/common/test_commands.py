"""The commands of operators while something does not answer, and what they print for programs."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import MetaData

from common.pyportal_common.cache_handlers import Limiter, RateLimit, RedisClient
from common.pyportal_common.commands.audit import audit_commands
from common.pyportal_common.commands.limits import limit_commands
from common.pyportal_common.commands.output import cell
from common.pyportal_common.db import Act, Actor, Audit, Database, LimitOverrides, add_audit_table
from common.pyportal_common.operations import LimitOperations
from common.pyportal_common.redis_server import RedisServer, free_port


@pytest.fixture
def audit(tmp_path: Path) -> Audit:
    database = Database(f"sqlite:///{tmp_path / 'commands.sqlite3'}")
    metadata = MetaData()
    add_audit_table(metadata)
    metadata.create_all(database.engine)
    audit = Audit(database)
    for number in range(3):
        act = Act("jobs retry", f"kind{number}", {"status": "failed"})
        audit.record_first(Actor("jane\x1b[2J", "request"), act, count=number)
    return audit


def invoke(audit: Audit, *words: str) -> Result:
    return CliRunner().invoke(audit_commands(audit), words)


def test_programs_get_json_and_the_next_page(audit: Audit) -> None:
    first = json.loads(invoke(audit, "list", "--json", "--limit", "2").output)
    second = json.loads(invoke(audit, "list", "--json", "--cursor", first["next"]).output)

    assert [each["target"] for each in first["items"] + second["items"]] == [
        "kind2",
        "kind1",
        "kind0",
    ]
    assert first["items"][0]["filter"] == {"status": "failed"}
    assert second["next"] is None


def test_people_get_a_table_that_cannot_change_their_terminal(audit: Audit) -> None:
    printed = invoke(audit, "list", "--limit", "1").output

    assert "\x1b" not in printed
    assert "status=failed" in printed
    assert "More: --cursor " in printed


@pytest.mark.parametrize("words", [("--cursor", "x"), ("--limit", "0"), ("--limit", "1001")])
def test_wrong_arguments_are_2(audit: Audit, words: tuple[str, str]) -> None:
    assert invoke(audit, "list", *words).exit_code == 2


def test_without_sql_the_status_is_3_and_one_line_says_so() -> None:
    nowhere = Database(f"postgresql+psycopg://portal@127.0.0.1:{free_port()}/postgres")

    result = invoke(Audit(nowhere), "list")

    assert result.exit_code == 3
    assert result.output.startswith("Error: the SQL database does not answer: ")
    assert len(result.output.splitlines()) == 1


def test_without_redis_the_limits_of_the_settings_are_listed(
    own_redis: RedisServer, connect: Callable[..., RedisClient], tmp_path: Path
) -> None:
    """Nor does SQL answer: there is no table of overrides."""
    database = Database(f"sqlite:///{tmp_path / 'empty.sqlite3'}")
    audit = Audit(database)
    limits = {"login": RateLimit("login", 5, 60)}
    overrides = LimitOverrides(database, audit=lambda *_: None)
    commands = limit_commands(
        LimitOperations(Limiter(connect(own_redis)), limits, overrides, audit, roles=[]),
        "taskprocessing",
    )
    own_redis.kill()

    listed = CliRunner().invoke(commands, ["list"])
    shown = CliRunner().invoke(commands, ["show", "user:7"])

    assert (listed.exit_code, "login" in listed.output) == (0, True)
    assert (shown.exit_code, "Redis" in shown.output) == (3, True)


@pytest.mark.parametrize(
    ("value", "shown"),
    [(None, ""), (True, "yes"), (1.25, "1.2"), (["a", 1], "a, 1"), ("a\nb\x07", "a b "), ({}, "")],
)
def test_a_cell_is_one_line(value: object, shown: str) -> None:
    assert cell(value) == shown
