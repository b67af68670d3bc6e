"""One run: the servers, the flights, the clients, the faults, and the wait for the end."""

import time
from collections import Counter
from datetime import UTC, datetime, timedelta

from sqlalchemy import Engine, create_engine

from common.pyportal_common.cache_handlers import RedisClient, RedisSettings, SessionStore
from common.pyportal_common.db.migrations import migrate
from common.pyportal_common.redis_server import RedisServer, free_port

from .check import check
from .clients import Clients
from .faults import Faults
from .http_client import call
from .outcome import Outcome
from .processes import Processes
from .servers import a_database, a_redis, comes_true
from .setting import SERVICE, Setting
from .state import State, read_state, unfinished

_USERS = 8
_SEATS = (20, 60, 200, 1000, 1000)  # of each flight: some sell out
_START = 30.0  # seconds
_LONGEST = 120.0  # seconds after the last fault
_OLD = 3.0  # seconds that a cached value may be old: see stress/README.md
_SESSIONS_DB = 0


def run(setting: Setting, *, postgres: bool) -> Outcome:
    """Do it, and return what came of it."""
    with a_database(setting.folder, postgres=postgres) as url, a_redis(setting.folder) as redis:
        migrate(url, SERVICE / "migrations")
        port = free_port()
        processes = Processes(
            setting,
            {
                "REDIS_URL": redis.url,
                "DATABASE_URL": url,
                "BIND": f"127.0.0.1:{port}",
                # Nobody is there, and that is known at once: a name takes seconds not to be found,
                # in which each event would hold a thread that tasks need.
                "NOTIFICATION_URL": f"http://127.0.0.1:{free_port()}",
            },
        )
        try:
            return _live(setting, url, redis, processes, port)
        finally:
            processes.close()


def _live(
    setting: Setting, url: str, redis: RedisServer, processes: Processes, port: int
) -> Outcome:
    processes.start_web()
    for number in range(2):
        processes.start_worker(number)
    tokens = _log_in(redis)
    flights = _add_flights(port, tokens.pop(0))
    began = time.monotonic()
    setting.arm()
    clients = Clients(setting, port, tokens, flights)
    faults = Faults(redis, processes, setting.random_for("faults"))
    faults.inject(began + setting.seconds)
    setting.disarm()
    last_fault = time.monotonic()
    clients.join()
    until_accepted = time.monotonic() - last_fault
    engine = create_engine(url)
    is_final = comes_true(lambda: unfinished(engine) == 0, _LONGEST)
    until_final = time.monotonic() - last_fault if is_final else None
    state = _look(engine, port, tokens)
    engine.dispose()
    return Outcome(
        told=clients.told,
        state=state,
        faults=faults.counts + Counter(setting.deaths()),
        took=time.monotonic() - began,
        until_accepted=until_accepted,
        until_final=until_final,
        ended_badly=processes.close(),
    )


def _log_in(redis: RedisServer) -> dict[int, str]:
    """The tokens of users by their ids; user 0 is an admin."""
    client = RedisClient.connect(RedisSettings.load(url=redis.url, _env_file=None), db=_SESSIONS_DB)
    store = SessionStore(client)
    tokens = {
        user_id: store.create(user_id, {"role": "user" if user_id else "admin"}).session_id
        for user_id in range(_USERS + 1)
    }
    client.close()
    return tokens


def _add_flights(port: int, token: str) -> list[int]:
    """Their ids. RuntimeError where the service does not start."""
    departs_at = (datetime.now(UTC) + timedelta(days=30)).isoformat()
    ids = []
    for number, seats in enumerate(_SEATS):
        body = {
            "flightNumber": f"PY{number + 1}",
            "origin": "LIS",
            "destination": "OSL",
            "departsAt": departs_at,
            "totalSeats": seats,
        }
        answer = call(port, "POST", "/flights", token, body)
        until = time.monotonic() + _START
        while answer.status != 201 and time.monotonic() < until:
            time.sleep(0.1)
            answer = call(port, "POST", "/flights", token, body)
        if answer.status != 201:
            raise RuntimeError(f"the service adds no flight: {answer}")
        ids.append(int(answer.body["flight"]["flightId"]))
    return ids


def _look(engine: Engine, port: int, tokens: dict[int, str]) -> State:
    """At SQL, and at HTTP until it shows the same, but not for longer than it may be old."""
    state = read_state(engine)
    until = time.monotonic() + _OLD
    _ask(state, port, tokens)
    while check([], state) and time.monotonic() < until:
        _ask(state, port, tokens)
    return state


def _ask(state: State, port: int, tokens: dict[int, str]) -> None:
    for task in state.tasks:
        shown = call(port, "GET", f"/tasks/{task.id}", tokens[task.user_id]).body
        state.shown_tasks[task.id] = shown.get("task") if isinstance(shown, dict) else None
    token = next(iter(tokens.values()))
    for flight in state.flights:
        shown = call(port, "GET", f"/flights/{flight.id}/availability", token).body
        seats = shown.get("available_seats") if isinstance(shown, dict) else None
        state.shown_seats[flight.id] = seats
