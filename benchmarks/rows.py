"""Many tasks at once: rows that one INSERT … SELECT creates, on SQLite and on PostgreSQL."""

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any

from sqlalchemy import (
    CTE,
    ColumnElement,
    Connection,
    Date,
    Engine,
    Integer,
    MetaData,
    String,
    Table,
    case,
    cast,
    func,
    insert,
    literal,
    select,
    text,
)

from .bulk import filling
from .servers import wait_until

_TASKS_OF_A_USER = 100  # of each user but the first
_FLIGHTS = 100
_SEATS = 10**9
_DAYS = (date(2099, 1, 31), date(2099, 2, 1))
_TIMES = ("created_at", "updated_at", "due_at", "send_at")  # of a new task, those that exist


class Rows:
    """The tables of Task Processing in one database, as its migrations created them."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        metadata = MetaData()
        self.tasks = Table("tasks", metadata, autoload_with=engine)
        self._flights = Table("flights", metadata, autoload_with=engine)
        self._bookings = Table("bookings", metadata, autoload_with=engine)
        self._events = Table("events", metadata, autoload_with=engine)
        self._first: dict[str, Any] = {}

    def add_flights(self) -> None:
        """Create a hundred flights with enough seats for every task."""
        now = datetime.now(UTC)
        flight = {
            "origin": "LIS",
            "destination": "OSL",
            "departs_at": now + timedelta(days=365),
            "total_seats": _SEATS,
            "available_seats": _SEATS,
            "created_at": now,
            "updated_at": now,
        }
        flights = [flight | {"flight_number": f"PY{n}"} for n in range(1, _FLIGHTS + 1)]
        with self.engine.begin() as connection:
            connection.execute(insert(self._flights), flights)

    def add_waiting(self, task_type: str, count: int) -> int:
        """Create tasks that are due, and return the id of the last one before them.

        `count` is divided among a hundred users, each with a flight of their own. They are copies
        of the task that was created first, over HTTP, so that they have whatever the service gives
        to a new task.
        """
        now = datetime.now(UTC)
        with self.engine.begin() as connection:
            last = self._last(connection)
            rows = [
                {
                    **self._first,
                    "reference": f"BENCH-{last + number}",
                    "task_type": task_type,
                    "user_id": number % _FLIGHTS + 1,
                    "parameters": {"flightId": number % _FLIGHTS + 1, "seats": 1},
                    **{name: now for name in _TIMES if name in self.tasks.c},
                }
                for number in range(1, count + 1)
            ]
            connection.execute(insert(self.tasks), rows)
        return last

    def keep_first(self) -> None:
        """Remember the only task, which is waiting, for `add_waiting`."""
        with self.engine.begin() as connection:
            row = connection.execute(select(self.tasks)).one()._asdict()
        self._first = {name: value for name, value in row.items() if name != "id"}

    def rate_since(self, last: int) -> float:
        """How many of the tasks newer than `last` were completed a second.

        Without the first tenth, in which connections are opened.
        """
        tasks = self.tasks.c
        found = select(tasks.finished_at).where(tasks.id > last)
        with self.engine.begin() as connection:
            ends = sorted(connection.scalars(found))
        skipped = len(ends) // 10
        seconds: float = (ends[-1] - ends[skipped - 1]).total_seconds()
        return (len(ends) - skipped) / seconds

    def add_ended(self, count: int) -> None:
        """Create `count` tasks: half of them of user 1, the others of users with a hundred each.

        A fifth of each user's tasks have failed. The tasks of one user are spread over the table.
        """
        numbers = self._numbers(count)
        other_user, turn = numbers.c.number % 2 == 1, numbers.c.number // 2
        users = count // 2 // _TASKS_OF_A_USER
        failed = case((other_user, turn // users % 5), else_=turn % 5) == 0
        ended = {
            "task_type": "flight_booking",
            "parameters": {"flightId": 1, "seats": 1},
            "details": {"flightId": 1, "flightNumber": "PY1", "seats": 1},
            "user_id": case((other_user, 2 + turn % users), else_=1),
            "status": case((failed, "failed"), else_="completed"),
            "attempts": 1,
            "progress": 100,
        }
        with filling(self.engine, "tasks") as connection:
            self._add(connection, numbers, ended)
        self._vacuum()

    def add_booked(self, count: int) -> None:
        """Create `count` flights, and a booking of one of them for each completed task.

        A tenth of the flights depart on the first day, half of them from Lisbon. A fifth of the
        bookings are cancelled.
        """
        number = self._numbers(count).c.number
        now = datetime.now(UTC)
        flights: dict[str, ColumnElement[Any]] = {
            "flight_number": cast(number, String),
            "origin": case((number % 20 == 0, "LIS"), else_="VIE"),
            "destination": literal("OSL"),
            "departs_at": literal(now + timedelta(days=365), self._flights.c.departs_at.type),
            "departs_on": case(
                (number % 10 == 0, literal(_DAYS[0], Date)), else_=literal(_DAYS[1], Date)
            ),
            "total_seats": literal(_SEATS),
            "available_seats": literal(_SEATS),
            "created_at": literal(now, self._flights.c.created_at.type),
            "updated_at": literal(now, self._flights.c.updated_at.type),
        }
        tasks = self.tasks.c
        bookings: dict[str, ColumnElement[Any]] = {
            "task_id": tasks.id,
            "flight_id": tasks.id % count + 1,
            "user_id": tasks.user_id,
            "seats": literal(1),
            "created_at": tasks.created_at,
            "cancelled_at": case((tasks.id % 5 == 0, tasks.created_at)),
        }
        completed = select(*bookings.values()).where(tasks.status == "completed")
        with self.engine.begin() as connection:
            for table, columns, rows in (
                (self._flights, flights, select(*flights.values())),
                (self._bookings, bookings, completed),
            ):
                connection.execute(insert(table).from_select(list(columns), rows))
        self._vacuum()

    def _are_completed(self) -> bool:
        others = select(func.count()).where(self.tasks.c.status != "completed")
        with self.engine.begin() as connection:
            return not connection.scalar(others)

    def _are_notified(self) -> bool:
        waiting = select(func.count()).where(self._events.c.finished_at.is_(None))
        with self.engine.begin() as connection:
            return not connection.scalar(waiting)

    def await_completed(self) -> None:
        """Wait until every task is completed and its user is notified.

        Ends the program if that takes too long.
        """
        wait_until(self._are_completed, "Some tasks are not completed.", poll_seconds=0.2)
        wait_until(self._are_notified, "Some notifications are not sent.", poll_seconds=0.2)

    def last(self) -> int:
        """The id of the newest task."""
        with self.engine.begin() as connection:
            return self._last(connection)

    def milliseconds_since(self, last: int) -> list[float]:
        """The time from creation to end of each task newer than `last`."""
        tasks = self.tasks.c
        found = select(tasks.created_at, tasks.finished_at).where(tasks.id > last)
        with self.engine.begin() as connection:
            rows = connection.execute(found).all()
        return [(finished - created).total_seconds() * 1000 for created, finished in rows]

    def _vacuum(self) -> None:
        """Do now what autovacuum does a minute after many rows are created.

        Until then PostgreSQL looks up each row that an index finds, to see whether it is visible.
        """
        engine, statement = self.engine, "ANALYZE"
        if engine.name == "postgresql":
            engine = engine.execution_options(isolation_level="AUTOCOMMIT")
            statement = "VACUUM ANALYZE"
        with engine.begin() as connection:
            connection.execute(text(statement))

    def _add(self, connection: Connection, numbers: CTE, values: Mapping[str, Any]) -> None:
        now = datetime.now(UTC)
        row = {"priority": "normal", "created_at": now, "updated_at": now, **values}
        columns: dict[str, ColumnElement[Any]] = {
            name: value
            if isinstance(value, ColumnElement)
            else literal(value, self.tasks.c[name].type)
            for name, value in row.items()
        }
        number = cast(numbers.c.number + self._last(connection), String)
        columns["reference"] = literal("TASK-") + number
        rows = select(*columns.values()).select_from(numbers)
        connection.execute(insert(self.tasks).from_select(list(columns), rows))

    def _last(self, connection: Connection) -> int:
        return connection.scalar(select(func.coalesce(func.max(self.tasks.c.id), 0))) or 0

    def _numbers(self, count: int) -> CTE:
        """The numbers from 0 to `count` - 1, one a row."""
        if self.engine.name == "postgresql":
            return select(func.generate_series(0, count - 1, type_=Integer).label("number")).cte(
                "numbers"
            )
        return _counted(count)


def _counted(count: int) -> CTE:
    first = select(literal(0).label("number")).cte("numbers", recursive=True)
    return first.union_all(select(first.c.number + 1).where(first.c.number + 1 < count))
