"""The driver of PostgreSQL, with its C library."""

import psycopg

assert psycopg.pq.version() >= 120000
