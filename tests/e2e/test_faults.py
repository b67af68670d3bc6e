"""What clients of the running portal see while its processes are paused and killed."""

import http.client
import os
import re
import signal
import statistics
import threading
from collections.abc import Callable

from .conftest import REGISTER, Answer, Portal, plain, user, wait_until

NewPortal = Callable[..., Portal]

UNLIMITED = {"RATE_LIMIT_REGISTER": "100000/60"}


def redis_lines(portal: Portal) -> list[str]:
    """What the service itself says about Redis, as `grep -i redis` finds it."""
    log = (portal.data_dir / "logs" / "usermanagement.log").read_text()
    return [line for line in log.splitlines() if re.search("redis", line, re.IGNORECASE)]


def redis_state(portal: Portal) -> str:
    return str(portal.request("GET", "/health").body["checks"]["redis"])


def both_workers_know(portal: Portal, state: str) -> None:
    """Wait until 30 answers in a row say so: they come from either worker."""
    wait_until(lambda: all(redis_state(portal) == state for _ in range(30)), seconds=10)


def added_by(answers: list[Answer], usual: float) -> float:
    return statistics.median(answer.seconds for answer in answers) - usual


def test_registration_goes_on_while_redis_hangs(new_portal: NewPortal) -> None:
    """The first request of a worker pays the timeout once; the next ones nothing."""
    portal = new_portal(**UNLIMITED)
    portal.start()
    usual = statistics.median(portal.register(f"usual{n}").seconds for n in range(10))
    redis = portal.pid_of("valkey-server")

    os.kill(redis, signal.SIGSTOP)
    try:
        answers = [portal.register(f"hung{n}") for n in range(30)]
    finally:
        os.kill(redis, signal.SIGCONT)

    assert {answer.status for answer in answers} == {201}
    slow = [answer for answer in answers if answer.seconds - usual > 0.3]
    assert len(slow) <= 2  # one a worker
    assert all(answer.seconds - usual < 0.9 for answer in slow)
    assert added_by(answers, usual) < 0.05
    both_workers_know(portal, "ok")
    assert portal.register("after").headers["X-RateLimit-Remaining"] < "99999"


def test_registration_goes_on_while_redis_is_down_and_the_limit_holds(
    new_portal: NewPortal,
) -> None:
    portal = new_portal(RATE_LIMIT_REGISTER="20/600")
    portal.start()
    # Redis stays down: supervisor would start it again at once.
    redis = portal.pid_of("valkey-server")
    binary_gone = portal.data_dir / "run" / "redis.conf"
    config = binary_gone.read_text()
    binary_gone.unlink()
    os.kill(redis, signal.SIGKILL)

    answers = [portal.register(f"down{n}") for n in range(50)]

    statuses = [answer.status for answer in answers]
    assert set(statuses) == {201, 429}
    assert 20 <= statuses.count(201) <= 40  # each of two workers counts for itself
    refused = next(answer for answer in answers if answer.status == 429)
    assert 1 <= int(refused.headers["Retry-After"]) <= 600
    assert max(answer.seconds for answer in answers) < 1
    binary_gone.write_text(config)
    both_workers_know(portal, "ok")


def test_the_log_tells_an_outage_in_three_lines_a_worker(new_portal: NewPortal) -> None:
    portal = new_portal(**UNLIMITED)
    portal.start()
    redis = portal.pid_of("valkey-server")

    os.kill(redis, signal.SIGSTOP)
    for n in range(20):
        portal.register(f"hung{n}")
    os.kill(redis, signal.SIGCONT)
    both_workers_know(portal, "ok")

    # Beside them, what was committed meanwhile is made up for.
    lines = [line for line in redis_lines(portal) if "Made up for" not in line]
    assert len(lines) in {3, 6}
    assert sum("is unavailable" in line for line in lines) == len(lines) / 3
    assert sum("counted in this process" in line for line in lines) == len(lines) / 3
    assert sum("is back after" in line for line in lines) == len(lines) / 3
    assert all("password" not in line for line in lines)


def test_what_dies_is_started_again(new_portal: NewPortal) -> None:
    portal = new_portal(**UNLIMITED)
    portal.start()
    portal.register("before")

    os.kill(portal.pid_of("valkey-server"), signal.SIGKILL)
    wait_until(lambda: portal.make("redis", args="ping").stdout.strip() == "PONG", seconds=10)
    both_workers_know(portal, "ok")
    after = portal.register("after")
    assert portal.redis("get user:lookup:username:after") == str(after.body["user"]["id"])

    os.kill(portal.pid_of("gunicorn"), signal.SIGKILL)
    # Its workers may answer for another moment, and then end.
    wait_until(lambda: answers(portal, "POST", REGISTER, user("before")) == 409, seconds=20)
    assert "exited: redis" in plain(portal.said())


def answers(portal: Portal, method: str, path: str, body: dict[str, str] | None = None) -> int:
    """The status, or 0 where nobody answers."""
    try:
        return portal.request(method, path, body).status
    except (OSError, EOFError, http.client.HTTPException):
        return 0


def test_no_acknowledged_registration_is_lost_by_any_kill(new_portal: NewPortal) -> None:
    """Everything is killed at once, in the middle of eight clients' registrations."""
    portal = new_portal(**UNLIMITED)
    portal.start()
    acknowledged: list[str] = []

    def register_until_it_breaks(client: int) -> None:
        for n in range(1000):
            name = f"c{client}-{n}"
            try:
                if portal.register(name).status != 201:
                    return
            except OSError:
                return
            acknowledged.append(name)

    clients = [threading.Thread(target=register_until_it_breaks, args=(n,)) for n in range(8)]
    for client in clients:
        client.start()
    wait_until(lambda: len(acknowledged) >= 60, seconds=30)
    portal.kill_all()
    for client in clients:
        client.join()

    portal.start()

    assert len(acknowledged) >= 60
    assert {portal.register(name).status for name in acknowledged} == {409}
