"""PostgreSQL over TLS: what the URL of the database, or variables of libpq, have verified."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from common.pyportal_common.db.engines import open_engine
from common.pyportal_common.testing.certificates import Authority, Certificate
from common.pyportal_common.testing.plugin import missing
from common.pyportal_common.testing.postgres import postgres_binaries, running_postgres

pytestmark = pytest.mark.slow

_ENCRYPTED = text("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()")


@pytest.fixture
def start() -> Iterator[Any]:
    """Starts servers with a certificate. Returns their URLs."""
    binaries = postgres_binaries()
    if binaries is None:
        missing("PostgreSQL")
    with ExitStack() as started:

        def server(certificate: Certificate) -> str:
            return started.enter_context(running_postgres(binaries, certificate=certificate))

        yield server


def is_encrypted(url: str) -> bool:
    engine = open_engine(url, pool_size=1)
    try:
        with engine.connect() as connection:
            return bool(connection.execute(_ENCRYPTED).scalar_one())
    finally:
        engine.dispose()


def verifying(url: str, authority: Authority) -> str:
    return f"{url}?sslmode=verify-full&sslrootcert={authority.file}"


def test_the_url_has_the_certificate_verified(start: Any, authority: Authority) -> None:
    url = start(authority.issue())

    assert is_encrypted(verifying(url, authority))
    assert not is_encrypted(f"{url}?sslmode=disable")


def test_variables_of_libpq_do_the_same_for_every_url(
    start: Any, authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = start(authority.issue())
    monkeypatch.setenv("PGSSLMODE", "verify-full")
    monkeypatch.setenv("PGSSLROOTCERT", str(authority.file))

    assert is_encrypted(url)

    monkeypatch.setenv("PGSSLROOTCERT", str(Authority(tmp_path / "other").file))
    with pytest.raises(OperationalError, match="certificate verify failed"):
        is_encrypted(url)


@pytest.mark.parametrize(
    ("names", "expired", "reason"),
    [
        (("127.0.0.1",), True, "certificate verify failed"),
        (("db.example",), False, "does not match host name"),
    ],
)
def test_a_wrong_certificate_is_refused(
    start: Any, authority: Authority, names: tuple[str, ...], expired: bool, reason: str
) -> None:
    url = start(authority.issue(*names, expired=expired))

    with pytest.raises(OperationalError, match=reason):
        is_encrypted(verifying(url, authority))
