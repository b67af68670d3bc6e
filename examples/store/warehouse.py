"""The prices, in SQLite: what both versions of the app read.

A read takes as long as the file WAREHOUSE.slow exists, ten seconds at most.
"""

import os
import sqlite3
import time
from contextlib import closing
from pathlib import Path

_SCHEMA = """
CREATE TABLE IF NOT EXISTS prices (product TEXT PRIMARY KEY, price INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS reads (product TEXT NOT NULL);
"""


def price_of(product: str) -> int:
    """The price of a product. Each call is recorded in `reads`."""
    with closing(_connection()) as db:
        row = db.execute("SELECT price FROM prices WHERE product = ?", (product,)).fetchone()
        db.execute("INSERT INTO reads VALUES (?)", (product,))
    deadline = time.monotonic() + 10
    while slow_file().exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    return row[0] if row else 100


def set_price(product: str, price: int) -> None:
    """Change the price of a product; it is committed when this returns."""
    with closing(_connection()) as db:
        db.execute("INSERT OR REPLACE INTO prices VALUES (?, ?)", (product, price))


def reads() -> int:
    """How often a price was read."""
    with closing(_connection()) as db:
        return int(db.execute("SELECT count(*) FROM reads").fetchone()[0])


def slow_file() -> Path:
    """The file that makes reads slow."""
    return Path(f"{os.environ['WAREHOUSE']}.slow")


def _connection() -> sqlite3.Connection:
    db = sqlite3.connect(os.environ["WAREHOUSE"], timeout=30, isolation_level=None)
    db.executescript(_SCHEMA)
    return db
