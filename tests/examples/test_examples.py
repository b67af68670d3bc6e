"""Both versions of an example answer alike, and ours is not the longer one."""

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pytest

from common.pyportal_common.redis_server import RedisServer
from examples.lines import EXAMPLES, lines_of

from .programs import run


@dataclass(frozen=True)
class Request:
    """A request, the client that sends it, and the status of its response."""

    method: str
    path: str
    status: int = 200
    json: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    client: str = "first"


def times(number: int, request: Request) -> list[Request]:
    return [request] * number


REQUESTS: dict[str, list[Request]] = {
    "weather": [
        *times(2, Request("GET", "/forecast/Bern")),
        Request("GET", "/forecast/Bern?fresh"),
        Request("GET", "/forecast/Oslo"),
        *times(2, Request("GET", "/degrees/Bern")),
        *times(2, Request("GET", "/degrees/Bern?unit=F")),
        *times(2, Request("GET", "/degrees/Nowhere", 404)),
        *times(2, Request("GET", "/warmest?first=Bern&second=Rome")),
        Request("GET", "/warmest?second=Rome&first=Bern"),
        Request("POST", "/reports/Bern/23", 204),
        *times(2, Request("GET", "/forecast/Bern")),
        *times(2, Request("GET", "/degrees/Bern")),
        Request("GET", "/degrees/Bern?unit=F"),
        Request("GET", "/forecast/Oslo"),
        Request("GET", "/notice"),
        Request("PUT", "/notice", json={"text": "storm", "cities": ["Oslo"]}),
        Request("GET", "/notice"),
    ],
    "shop": [
        *times(3, Request("GET", "/products")),
        *times(2, Request("GET", "/products", 429)),
        *times(2, Request("GET", "/products", headers={"X-Staff": "yes"})),
        *times(2, Request("GET", "/search")),
        *times(2, Request("GET", "/suggestions")),
        Request("GET", "/search", 429),
        Request("GET", "/suggestions", 429),
        *times(2, Request("POST", "/orders", 201, {"items": 4}, {"X-Customer": "ada"})),
        Request("POST", "/orders", 429, {"items": 4}, {"X-Customer": "ada"}),
        Request("POST", "/orders", 201, {"items": 4}, {"X-Customer": "alan"}),
        Request("POST", "/orders", 201, {"items": 10}),
        Request("POST", "/orders", 429, {"items": 1}),
        Request("POST", "/reviews"),
        Request("POST", "/reviews", 429),
        *times(2, Request("GET", "/reviews")),
        *times(40, Request("GET", "/health")),
    ],
    "basket": [
        Request("GET", "/me"),
        Request("POST", "/basket/lamp"),
        Request("POST", "/basket/lamp"),
        Request("POST", "/login", 401, {"name": "ada", "password": "wrong"}),
        Request("POST", "/login", 204, {"name": "ada", "password": "lovelace"}),
        Request("GET", "/me"),
        Request("GET", "/me", client="second"),
        Request(
            "POST",
            "/login",
            204,
            {"name": "alan", "password": "turing", "remember": True},
            client="second",
        ),
        Request("GET", "/me", client="second"),
        Request("DELETE", "/basket", 204),
        Request("GET", "/me"),
        Request("POST", "/logout", 204),
        Request("GET", "/me"),
        Request("GET", "/me", client="second"),
    ],
    "store": [
        *times(2, Request("GET", "/prices/lamp")),
        Request("PUT", "/prices/lamp", json={"price": 80}),
        *times(2, Request("GET", "/prices/lamp")),
        *times(20, Request("GET", "/offers")),
        Request("GET", "/offers", 429),
        Request("POST", "/currency/EUR", 204),
        Request("POST", "/login/7", 204),
        Request("POST", "/basket/lamp", 204),
        Request("GET", "/me"),
        Request("POST", "/logout", 204),
        Request("GET", "/me"),
    ],
}


def answers(example: str, version: str, redis: RedisServer, folder: Path) -> list[dict[str, Any]]:
    requests = [asdict(each) for each in REQUESTS[example]]
    module = f"{example}.{version}"
    warehouse = folder / f"{version}.sqlite3"
    found: list[dict[str, Any]] = run(
        version, "examples.replay", module, redis=redis, sent=requests, WAREHOUSE=str(warehouse)
    )
    return found


@pytest.mark.parametrize("example", REQUESTS)
def test_our_version_answers_as_the_table_says(
    example: str, redis_server: RedisServer, tmp_path: Path
) -> None:
    found = answers(example, "portal", redis_server, tmp_path)

    assert [each["status"] for each in found] == [each.status for each in REQUESTS[example]]


@pytest.mark.slow
@pytest.mark.parametrize("example", REQUESTS)
def test_both_versions_answer_alike(example: str, start_redis: Any, tmp_path: Path) -> None:
    ours = answers(example, "portal", start_redis(), tmp_path)
    theirs = answers(example, "peers", start_redis(), tmp_path)

    for request, our, their in zip(REQUESTS[example], ours, theirs, strict=True):
        assert comparable(request, our) == comparable(request, their)


def comparable(request: Request, answer: dict[str, Any]) -> tuple[Request, dict[str, Any]]:
    """An answer without what the versions send at other times, as docs/migrating says."""
    headers = dict(answer["headers"])
    if request.path != "/login":  # Flask-Session repeats the cookie whenever something changed
        del headers["Set-Cookie"]
    if request.status != 429:  # Flask-Limiter has no headers where the route's limit is exempt
        headers = {name: each for name, each in headers.items() if "RateLimit" not in name}
    return request, {**answer, "headers": headers}


@pytest.mark.parametrize("example", EXAMPLES)
def test_our_version_is_not_longer(example: str) -> None:
    assert 20 < lines_of(example, "portal") <= lines_of(example, "peers")
