"""An engine for PostgreSQL, whose driver has its C library."""

import psycopg

from common.pyportal_common.db.engines import open_engine

assert psycopg.pq.version() >= 120000
assert open_engine("postgresql://john@127.0.0.1/flights", pool_size=1).driver == "psycopg"
