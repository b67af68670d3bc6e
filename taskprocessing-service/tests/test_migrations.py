"""The migrations create the schema of the models."""

from app import MIGRATIONS
from common.pyportal_common.db.migrations import check, migrate


def test_migrations_match_the_models_and_run_twice(migrated_url: str) -> None:
    check(migrated_url, MIGRATIONS)

    migrate(migrated_url, MIGRATIONS)

    check(migrated_url, MIGRATIONS)
