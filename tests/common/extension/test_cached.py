"""`@portal.cached`: keys, results, methods, and what is refused when it is defined."""

import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from inspect import signature
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from flask import Flask, Response, abort, current_app
from flask.views import MethodView
from hypothesis import given
from hypothesis import strategies as st
from markupsafe import Markup
from werkzeug.exceptions import NotFound

from common.pyportal_common.cache_handlers import Policy, RedisClient, RedisUnavailable, keys
from common.pyportal_common.extension import InvalidKey, Portal
from common.pyportal_common.extension.key_templates import key_of
from common.pyportal_common.redis_server import RedisServer

from .conftest import MakeApp


@pytest.fixture
def in_app(app: Flask) -> Iterator[None]:
    with app.app_context():
        yield


IN_APP = pytest.mark.usefixtures("in_app")


class Loads(list[Any]):
    """What was loaded, in order."""

    def next(self, value: Any) -> int:
        self.append(value)
        return len(self)


@pytest.fixture
def loads() -> Loads:
    return Loads()


@IN_APP
def test_a_function_runs_once_for_each_key(
    portal: Portal, loads: Loads, redis_client: RedisClient
) -> None:
    @portal.cached("forecast:{city}/{day}", ttl=30)
    def forecast(city: str, day: int = 1, *, verbose: str = "") -> dict[str, int]:
        """The weather."""
        return {city: loads.next((city, day, verbose))}

    assert forecast("Bern") == forecast(city="Bern", day=1, verbose="?") == {"Bern": 1}
    assert forecast("Bern", 2) == {"Bern": 2}
    assert set(redis_client.scan("*")) == {"forecast:Bern/1", "forecast:Bern/2"}
    assert (forecast.__name__, forecast.__doc__) == ("forecast", "The weather.")


@IN_APP
def test_invalidate_and_refresh_take_the_arguments(portal: Portal, loads: Loads) -> None:
    @portal.cached("forecast:{city}", ttl=30)
    def forecast(city: str) -> int:
        return loads.next(city)

    assert (forecast("Bern"), forecast("Rome")) == (1, 2)
    assert forecast.invalidate(city="Bern") == 1
    assert (forecast("Bern"), forecast("Rome")) == (3, 2)
    assert forecast.refresh("Rome") == 4
    assert forecast("Rome") == 4


@IN_APP
def test_an_abort_is_not_cached_and_nobody_waits_after_it(
    portal: Portal, loads: Loads, redis_client: RedisClient
) -> None:
    @portal.cached("user:{user_id}", policy=Policy(ttl=30, retry=60, wait=0.1))
    def find(user_id: int) -> None:
        loads.next(user_id)
        abort(404)

    for count in (1, 2, 3):
        with pytest.raises(NotFound):
            find(7)

        assert loads == [7] * count
        assert set(redis_client.scan("*")) == set()  # no lease either


def test_callers_at_the_same_time_all_get_the_abort(
    app: Flask, portal: Portal, loads: Loads, redis_client: RedisClient
) -> None:
    together = threading.Barrier(4)

    @app.get("/users/<int:user_id>")
    @portal.cached("user:{user_id}", policy=Policy(ttl=30, retry=60, wait=0.1))
    def find(user_id: int) -> str:
        loads.next(user_id)
        abort(404)

    def get() -> int:
        together.wait(10)
        return app.test_client().get("/users/7").status_code

    with ThreadPoolExecutor(4) as threads:
        statuses = [threads.submit(get) for _ in range(4)]

    assert [each.result() for each in statuses] == [404] * 4
    assert len(loads) == 4
    assert set(redis_client.scan("*")) == set()


@IN_APP
def test_the_function_itself_can_be_called(portal: Portal, loads: Loads) -> None:
    class User:
        user_id = 7

        @portal.cached("visits:{day}", ttl=30)
        def visits(self, day: str) -> list[int]:
            return [self.user_id, loads.next(day)]

    assert User().visits("mon") == User().visits("mon") == [7, 1]
    assert User().visits.uncached("mon") == [7, 2]
    assert User().visits("mon") == [7, 1]


@IN_APP
def test_none_is_a_result(portal: Portal, loads: Loads) -> None:
    @portal.cached("user:{user_id}", ttl=30)
    def find(user_id: int) -> None:
        loads.append(user_id)

    assert find(7) is find(7) is None
    assert loads == [7]


@IN_APP
def test_unless_gets_the_arguments_and_leaves_the_cache_alone(
    portal: Portal, loads: Loads, redis_client: RedisClient
) -> None:
    @portal.cached("forecast:{city}", ttl=30, unless=lambda city: city == "Bern")
    def forecast(city: str) -> int:
        return loads.next(city)

    assert (forecast("Bern"), forecast("Bern"), forecast("Rome"), forecast("Rome")) == (1, 2, 3, 3)
    assert list(redis_client.scan("*")) == ["forecast:Rome"]


@IN_APP
def test_methods_are_cached_by_their_arguments(portal: Portal, loads: Loads) -> None:
    class Forecasts:
        def __init__(self, suffix: str) -> None:
            self.suffix = suffix

        @portal.cached(
            "forecast:{city}", ttl=30, unless=lambda self, city: self.suffix + city == "?Bern"
        )
        def find(self, city: str) -> str:
            return f"{city}{self.suffix}{loads.next(city)}"

        @staticmethod
        @portal.cached("static:{city}", ttl=30)
        def static(city: str) -> int:
            return loads.next(city)

    first, second = Forecasts("!"), Forecasts("?")

    assert first.find("Bern") == first.find(city="Bern") == "Bern!1"
    assert second.find("Bern") == "Bern?2"
    assert Forecasts.find(first, "Bern") == "Bern!1"
    assert first.find.refresh("Bern") == "Bern!3"
    assert first.find.invalidate("Bern") == 1
    assert Forecasts.static("Bern") == 4


@IN_APP
def test_a_key_may_come_from_a_function(portal: Portal, redis_client: RedisClient) -> None:
    @portal.cached(lambda day: f"forecast:{day:%Y-%m-%d}", ttl=30)
    def forecast(day: date) -> int:
        return day.day

    assert forecast(date(2026, 11, 26)) == 26
    assert list(redis_client.scan("*")) == ["forecast:2026-11-26"]


@IN_APP
def test_a_policy_says_more(portal: Portal, redis_client: RedisClient) -> None:
    @portal.cached("user:{user_id}", policy=Policy(ttl=100, jitter=0, negative_ttl=0))
    def find(user_id: int) -> dict[str, int] | None:
        return {"id": user_id} if user_id == 7 else None

    assert (find(7), find(8)) == ({"id": 7}, None)
    assert redis_client.ttl("user:7") in {99, 100}
    assert redis_client.exists("user:8") == 0


@pytest.mark.parametrize("options", [{}, {"ttl": 1, "policy": Policy(ttl=1)}])
def test_one_of_ttl_and_policy_is_needed(portal: Portal, options: dict[str, Any]) -> None:
    with pytest.raises(TypeError, match="ttl="):
        portal.cached("forecast:{city}", **options)


@pytest.mark.parametrize(
    "options",
    [
        {"ttl": 0},
        {"ttl": -1},
        {"ttl": float("nan")},
        {"ttl": float("inf")},
        {"ttl": 5, "stale_for": -10},
        {"ttl": 5, "values": "pickle"},
    ],
)
def test_wrong_options_are_found_when_a_function_is_defined(
    portal: Portal, options: dict[str, Any]
) -> None:
    with pytest.raises(ValueError, match=r"seconds|values"):
        portal.cached("a:{b}", **options)


def test_a_bound_method_is_a_function_with_its_name(app: Flask, portal: Portal) -> None:
    class Shelf:
        @portal.cached("shelf:{number}", ttl=30)
        def show(self, number: int) -> str:
            """Show a shelf."""
            return f"shelf {number}"

    show = Shelf().show
    app.add_url_rule("/<int:number>", view_func=portal.limit("5/minute")(show))

    assert (show.__name__, show.__doc__) == ("show", "Show a shelf.")
    assert list(signature(show).parameters) == ["number"]
    assert app.test_client().get("/7").text == "shelf 7"
    with app.app_context(), pytest.raises(TypeError, match="show cannot be cleared"):
        show.clear()


@IN_APP
def test_a_stale_result_is_refreshed_in_an_app_context(
    portal: Portal, loads: Loads, redis_client: RedisClient
) -> None:
    refreshed = threading.Event()

    @portal.cached("forecast:{city}", ttl=30, stale_for=300)
    def forecast(city: str) -> str:
        if loads.next(city) == 2:
            refreshed.set()
        return f"{current_app.name} {len(loads)}"

    assert forecast("Bern") == "shop 1"
    redis_client.expire("forecast:Bern", 200)  # less than stale_for is left
    assert forecast("Bern") == "shop 1"
    assert refreshed.wait(5)


def test_concurrent_misses_load_once(portal: Portal, app: Flask, loads: Loads) -> None:
    both = threading.Barrier(4)

    @portal.cached("forecast:{city}", ttl=30)
    def forecast(city: str) -> int:
        return loads.next(city)

    results: list[int] = []

    def call() -> None:
        with app.app_context():
            both.wait()
            results.append(forecast("Bern"))

    threads = [threading.Thread(target=call) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert results == [1, 1, 1, 1]


# --- views ---


def test_views_are_cached_and_every_request_counts(
    portal: Portal, app: Flask, loads: Loads
) -> None:
    @app.get("/forecast/<city>")
    @portal.limit("2/minute")
    @portal.cached("forecast:{city}", ttl=30)
    def forecast(city: str) -> dict[str, int]:
        return {city: loads.next(city)}

    class Items(MethodView):
        @portal.cached("item:{item_id}", ttl=30)
        def get(self, item_id: int) -> list[int]:
            return [loads.next(item_id)]

    app.add_url_rule("/items/<int:item_id>", view_func=Items.as_view("items"))
    client = app.test_client()

    assert [client.get("/forecast/Bern").json for _ in range(2)] == [{"Bern": 1}] * 2
    assert client.get("/forecast/Bern").status_code == 429
    assert [client.get("/items/7").json for _ in range(2)] == [[2], [2]]


def test_apps_have_their_own_caches(portal: Portal, make_app: MakeApp, loads: Loads) -> None:
    @portal.cached("forecast:{city}", ttl=30)
    def forecast(city: str) -> int:
        return loads.next(city)

    url = make_app("any").config["REDIS_URL"]
    for number, app in enumerate(
        [make_app("one", REDIS_URL=f"{url}/1"), make_app("two", REDIS_URL=f"{url}/2")], 1
    ):
        with app.app_context():
            assert forecast("Bern") == forecast("Bern") == number


def test_a_cached_function_needs_an_app(portal: Portal) -> None:
    @portal.cached("forecast:{city}", ttl=30)
    def forecast(city: str) -> str:
        return city

    with pytest.raises(RuntimeError, match="application context"):
        forecast("Bern")


def test_async_views_call_cached_functions(portal: Portal, app: Flask, loads: Loads) -> None:
    @portal.cached("forecast:{city}", ttl=30)
    def load(city: str) -> int:
        return loads.next(city)

    @app.get("/<city>")
    async def forecast(city: str) -> dict[str, int]:
        return {city: load(city)}

    assert [app.test_client().get("/Bern").json for _ in range(2)] == [{"Bern": 1}] * 2


# --- what is refused ---


@pytest.mark.parametrize(
    "template",
    [
        "", "forecast", "{city}", ":{city}", "forecast:{town}", "forecast:{city", "forecast:{}",
        "forecast:{city.name}", "forecast:{city!r}", "forecast:{city:>3}", "forecast:{city}{day}",
        "forecast:{city}:{day}", "forecast:{city}x{day}", "forecast: {city}", "fore cast:{city}",
        "forecast:{rest}", "forecast:{more}",
        "session:{city}", "lease:{city}", "user:sessions:{city}", "rate_limit:{city}",
    ],
)  # fmt: skip
def test_a_template_that_does_not_fit_is_refused_when_it_is_defined(
    portal: Portal, template: str
) -> None:
    def forecast(city: str, day: int, *rest: str, **more: str) -> None: ...

    with pytest.raises(InvalidKey):
        portal.cached(template, ttl=30)(forecast)


def test_other_kinds_of_functions_are_refused(portal: Portal) -> None:
    cached = portal.cached("forecast:{city}", ttl=30)

    async def asynchronous(city: str) -> str:
        return city

    def generator(city: str) -> Iterator[str]:
        yield city

    @portal.limit("1/minute")
    def limited(city: str) -> str:
        return city

    for function in (asynchronous, generator, limited, staticmethod(limited)):
        with pytest.raises(TypeError, match=r"@portal|asynchronous|generator"):
            cached(function)


@pytest.mark.parametrize(
    "result",
    [
        (1, 2),
        ("created", 201),
        Response("x"),
        {"day": date(2026, 11, 26)},
        {7: "seven"},
        [{"x": b"bytes"}],
        Markup("<b>"),
        {1, 2},
    ],
)
@IN_APP
def test_a_result_that_json_would_change_is_refused(
    portal: Portal, result: object, redis_client: RedisClient
) -> None:
    @portal.cached("any:{name}", ttl=30)
    def find(name: str) -> object:
        return result if name == "x" else None

    with pytest.raises(TypeError, match="cached result"):
        find("x")

    assert redis_client.exists("any:x") == 0


@pytest.mark.parametrize("value", [None, True, 1.5, b"x", date(2026, 1, 1), ["a"]])
@IN_APP
def test_values_without_a_clear_text_are_no_parts_of_keys(portal: Portal, value: Any) -> None:
    @portal.cached("any:{name}", ttl=30)
    def find(name: Any) -> str:
        return str(name)

    with pytest.raises(TypeError, match="name: a part of a key"):
        find(value)


# --- bytes ---


@IN_APP
def test_bytes_are_kept_as_they_are(
    portal: Portal, loads: Loads, redis_client: RedisClient
) -> None:
    @portal.cached("map:{zoom}", ttl=30, values="bytes", tags=[])
    def draw(zoom: int) -> bytes | None:
        loads.append(zoom)
        return bytes(range(256)) if zoom else None

    @portal.cached("tile:{zoom}", policy=Policy(ttl=30, jitter=0), values="bytes")
    def tile(zoom: int) -> bytes:
        return b"\xff%d" % zoom

    assert draw(1) == draw(1) == bytes(range(256))
    assert draw(0) is draw(0) is None
    assert loads == [1, 0]
    assert tile(1) == tile(1) == b"\xff1"
    assert redis_client.get("tile:1") == "bytes:\udcff1"


@pytest.mark.parametrize("value", ["text", ["x"], 7, bytearray(b"x")])
def test_a_result_that_is_not_bytes_is_refused_with_redis_and_without(
    portal: Portal, make_app: MakeApp, own_redis: RedisServer, value: Any
) -> None:
    @portal.cached("map:{zoom}", ttl=30, values="bytes")
    def draw(zoom: int) -> Any:  # noqa: ARG001
        return value

    with make_app(REDIS_URL=own_redis.url).app_context():
        with pytest.raises(TypeError, match="bytes or None"):
            draw(1)
        own_redis.kill()
        with pytest.raises(TypeError, match="bytes or None"):
            draw(1)


# --- keys ---


def test_a_key_of_one_value_is_that_of_the_services() -> None:
    key = key_of("user:{user_id}", lambda user_id: user_id)

    for value in (7, "7", "münchen", "a:b c", "%{x}", "x" * 300, "a/b"):
        assert key(value) == keys.user(value)
    assert key(UUID(int=1)) == "user:00000000-0000-0000-0000-000000000001"


texts = st.text(alphabet="a/-.:%{2F ", max_size=3)


@pytest.mark.parametrize(
    ("template", "between"),
    [("x:{a}/{b}", "/"), ("x:{a}-{b}", "-"), ("x:{a}/p/{b}", "/p/"), ("x:y/{a}.{b}!", ".")],
)
@given(values=st.tuples(texts, texts, texts))
def test_different_values_make_different_keys(
    template: str, between: str, values: tuple[str, str, str]
) -> None:
    key = key_of(template, lambda a, b: (a, b))
    first, second, third = values

    one = (first + between + second, third)
    other = (first, second + between + third)

    assert (key(*one) == key(*other)) == (one == other)


# --- outages ---


def test_without_redis_functions_run_and_invalidations_fail(
    portal: Portal, make_app: MakeApp, own_redis: RedisServer, loads: Loads
) -> None:
    @portal.cached("forecast:{city}", ttl=30)
    def forecast(city: str) -> int:
        return loads.next(city)

    with make_app(REDIS_URL=own_redis.url).app_context():
        own_redis.kill()

        assert (forecast("Bern"), forecast("Bern")) == (1, 2)
        with pytest.raises(RedisUnavailable):
            forecast.invalidate("Bern")
        with pytest.raises(RedisUnavailable):
            forecast.refresh("Bern")


# --- types ---

USER_CODE = """
from typing import assert_type
from common.pyportal_common.cache_handlers import Policy
from common.pyportal_common.extension import Portal

portal = Portal()

@portal.cached("forecast:{city}", ttl=30)
def forecast(city: str, day: int = 1) -> dict[str, int]:
    return {city: day}

class Forecasts:
    @portal.cached("forecast:{city}", ttl=30)
    def find(self, city: str) -> list[str]:
        return [city]

    @staticmethod
    @portal.cached("static:{city}", ttl=30)
    def static(city: str) -> int:
        return len(city)

    @staticmethod
    @portal.cached("none", ttl=30)
    def none() -> int:
        return 1

    @classmethod
    @portal.cached("class:{city}", ttl=30)
    def of_class(cls, city: str) -> int:
        return len(city)

@portal.limit("5/minute", by="user")
def view(city: str) -> str:
    return city

@portal.cached("map:{zoom}", ttl=30, values="bytes", tags=["zoom:{zoom}"])
def draw(zoom: int) -> bytes | None:
    return b"x" * zoom

@portal.cached("tile:{zoom}", policy=Policy(ttl=30), values="bytes", tags=lambda zoom: [f"{zoom}"])
def tile(zoom: int) -> bytes:
    return b"x" * zoom

@portal.cached("map:{zoom}", ttl=30, values="bytes")  # type: ignore[type-var]
def text(zoom: int) -> str:
    return "x" * zoom

assert_type(draw(3), bytes | None)
assert_type(tile(3), bytes)
tile.clear()
portal.invalidate_tag("zoom:3", "zoom:4")
portal.invalidate_tag(3)  # type: ignore[arg-type]
assert_type(portal.redis.incr("visits", ttl=60), int)
portal.redis.incr("visits")  # type: ignore[call-arg]
assert_type(portal.redis.lpop("queue"), str | None)

assert_type(forecast("Bern", day=2), dict[str, int])
assert_type(forecast.invalidate("Bern"), int)
assert_type(forecast.refresh("Bern"), dict[str, int])
assert_type(Forecasts().find("Bern"), list[str])
assert_type(Forecasts().find.refresh(city="Bern"), list[str])
assert_type(view("Bern"), str)
assert_type(Forecasts.static("Bern"), int)
assert_type(Forecasts.none(), int)
assert_type(Forecasts().of_class("Bern"), int)

forecast(7)  # type: ignore[arg-type]
forecast.invalidate()  # type: ignore[call-arg]
Forecasts().find(7)  # type: ignore[arg-type]
Forecasts().find.refresh("Bern", 2)  # type: ignore[call-arg]
view()  # type: ignore[call-arg]
portal.limit("5/minute", by="adress")  # type: ignore[arg-type]
portal.cached("x:{a}", ttl="30")  # type: ignore[call-overload]
"""


@pytest.mark.slow
def test_types_are_kept_and_wrong_uses_are_errors(tmp_path: Path) -> None:
    file = tmp_path / "user.py"
    file.write_text(USER_CODE)

    checked = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", str(file)],
        cwd=Path(__file__).parents[3],
        capture_output=True,
        text=True,
        check=False,
    )

    assert checked.returncode == 0, checked.stdout
