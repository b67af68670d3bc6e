"""The migrations lead to the models, and can be run again."""

from app import MIGRATIONS
from common.pyportal_common.db.migrations import check, migrate


def test_the_schema_is_that_of_the_models(migrated_url: str) -> None:
    check(migrated_url, MIGRATIONS)


def test_running_them_again_changes_nothing(migrated_url: str) -> None:
    migrate(migrated_url, MIGRATIONS)
    check(migrated_url, MIGRATIONS)
