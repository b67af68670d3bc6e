"""The migrations create the schema of the models, and can be run again."""

from app import MIGRATIONS
from common.pyportal_common.db.migrations import check, migrate


def test_the_schema_is_that_of_the_models_also_after_another_run(migrated_url: str) -> None:
    check(migrated_url, MIGRATIONS)

    migrate(migrated_url, MIGRATIONS)

    check(migrated_url, MIGRATIONS)
