"""Alembic runs this file for every command."""

import app.models  # noqa: F401  defines the tables on Base.metadata
from common.pyportal_common.db.migrations import run_migrations

run_migrations()
