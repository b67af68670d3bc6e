"""Alembic runs this for every command."""

from app.models import Base
from common.pyportal_common.db.invalidations import METADATA
from common.pyportal_common.db.migrations import run_migrations

run_migrations(Base.metadata, METADATA)
