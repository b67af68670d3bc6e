"""Alembic runs this for every command."""

from app.models import Base
from common.pyportal_common.invalidations import METADATA
from common.pyportal_common.migrations import run_migrations

run_migrations(Base.metadata, METADATA)
