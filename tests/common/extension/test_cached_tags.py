"""Tags of cached functions, `invalidate_tag` and `clear`."""

from collections.abc import Callable, Iterator
from typing import Any
from uuid import UUID

import pytest
from flask import Flask

from common.pyportal_common.cache_handlers import RedisClient, RedisUnavailable
from common.pyportal_common.extension import InvalidKey, Portal
from common.pyportal_common.redis_server import RedisServer

from .conftest import MakeApp


@pytest.fixture(autouse=True)
def _in_app(app: Flask) -> Iterator[None]:
    with app.app_context():
        yield


@pytest.fixture
def loads() -> list[Any]:
    return []


def test_results_are_invalidated_by_the_tags_of_their_arguments(
    portal: Portal, loads: list[Any]
) -> None:
    @portal.cached("orders:{user_id}/{page}", ttl=30, tags=["user:{user_id}", "orders", "{page}"])
    def orders(user_id: int, page: int = 1) -> list[int]:
        loads.append((user_id, page))
        return [user_id, page]

    @portal.cached("cart:{user_id}", ttl=30, tags=["user:{user_id}"])
    def cart(user_id: int) -> int:
        loads.append(user_id)
        return user_id

    def read_all() -> list[Any]:
        loads.clear()
        assert orders(7) == [7, 1]
        assert orders(user_id=7, page=2) == [7, 2]
        assert orders(8) == [8, 1]
        assert (cart(7), cart(8)) == (7, 8)
        return loads

    assert len(read_all()) == 5
    assert read_all() == []
    portal.invalidate_tag("user:7")
    assert read_all() == [(7, 1), (7, 2), 7]
    portal.invalidate_tag("orders", "user:8")
    assert read_all() == [(7, 1), (7, 2), (8, 1), 8]
    portal.invalidate_tag("2")
    assert read_all() == [(7, 2)]


@pytest.mark.parametrize("name", ["a:b", "{x}", "a b%", "x" * 300, "Zoë/2", "{"])
def test_the_tag_of_a_value_is_its_plain_text(portal: Portal, loads: list[Any], name: str) -> None:
    @portal.cached("page:{name}", ttl=30, tags=["name:{name}"])
    def page(name: str) -> int:
        loads.append(name)
        return len(loads)

    assert (page(name), page(name)) == (1, 1)
    portal.invalidate_tag(f"name:{name}")
    assert page(name) == 2


def test_tags_may_come_from_a_function(portal: Portal) -> None:
    @portal.cached(
        lambda ids: f"sum:{'-'.join(map(str, ids))}",
        ttl=30,
        tags=lambda ids: [f"item:{each}" for each in ids],
    )
    def total(ids: list[int]) -> list[int]:
        return [sum(ids), len(loaded)]

    loaded: list[int] = []
    assert total([1, 2]) == [3, 0]
    loaded.append(1)
    assert total([1, 2]) == [3, 0]
    portal.invalidate_tag("item:2")
    assert total([1, 2]) == [3, 1]


def test_clear_invalidates_the_results_of_all_arguments(portal: Portal, loads: list[Any]) -> None:
    def count(city: str) -> int:
        loads.append(city)
        return len(loads)

    forecast = portal.cached("forecast:{city}", ttl=30, tags=[])(count)
    other = portal.cached("other:{city}", ttl=30, tags=[])(count)
    by_function = portal.cached(lambda city: f"third:{city}", ttl=30, tags=())(count)

    assert [forecast("Bern"), forecast("Rome"), other("Bern"), by_function("Bern")] == [1, 2, 3, 4]
    forecast.clear()
    assert [forecast("Bern"), forecast("Rome"), other("Bern"), by_function("Bern")] == [5, 6, 3, 4]
    by_function.clear()
    assert [forecast("Bern"), other("Bern"), by_function("Bern")] == [5, 3, 7]


def test_methods_have_tags(portal: Portal, loads: list[Any]) -> None:
    class Prices:
        @portal.cached("price:{product}", ttl=30, tags=["product:{product}"])
        def find(self, product: UUID) -> int:
            loads.append(product)
            return len(loads)

    prices, product = Prices(), UUID(int=7)

    assert (prices.find(product), prices.find(product)) == (1, 1)
    portal.invalidate_tag(f"product:{product}")
    assert prices.find(product) == 2
    prices.find.clear()
    assert prices.find(product) == 3
    assert prices.find.refresh(product) == 4
    Prices.find.clear()
    assert prices.find(product) == 5


def test_without_tags_results_are_plain_json_and_cannot_be_cleared(
    portal: Portal, redis_client: RedisClient
) -> None:
    @portal.cached("forecast:{city}", ttl=30)
    def forecast(city: str) -> str:
        return city

    forecast("Bern")

    assert redis_client.get("forecast:Bern") == '"Bern"'
    with pytest.raises(TypeError, match=r"forecast .*tags=\[\]"):
        forecast.clear()


@pytest.mark.parametrize(
    "template", ["", "{town}", "{city", "{}", "{city.name}", "{city!r}", "{city:>3}", "{rest}"]
)
def test_a_tag_that_does_not_fit_is_refused_when_it_is_defined(
    portal: Portal, template: str
) -> None:
    def forecast(city: str, *rest: str) -> None: ...

    with pytest.raises(InvalidKey):
        portal.cached("forecast:{city}", ttl=30, tags=["fine", template])(forecast)


def test_one_text_in_place_of_several_tags_is_refused(portal: Portal) -> None:
    def forecast(city: str) -> None: ...

    with pytest.raises(TypeError, match="several"):
        portal.cached("forecast:{city}", ttl=30, tags="user:{city}")(forecast)

    @portal.cached("order:{order_id}", ttl=30, tags=lambda order_id: f"order:{order_id}")
    def order(order_id: int) -> int:
        return order_id

    with pytest.raises(TypeError, match="several texts"):
        order(7)


@pytest.mark.parametrize("value", [None, True, 1.5, ["a"]])
def test_values_without_a_clear_text_are_no_parts_of_tags(portal: Portal, value: Any) -> None:
    @portal.cached(lambda name: "any:1", ttl=30, tags=["name:{name}"])  # noqa: ARG005
    def find(name: Any) -> str:
        return str(name)

    with pytest.raises(TypeError, match="name: a part of a key or a tag"):
        find(value)


@pytest.mark.parametrize(
    "invalidate",
    [lambda portal, _: portal.invalidate_tag("any"), lambda _, forecast: forecast.clear()],
    ids=["invalidate_tag", "clear"],
)
def test_without_redis_functions_run_and_invalidations_fail(
    portal: Portal,
    make_app: MakeApp,
    own_redis: RedisServer,
    invalidate: Callable[[Portal, Any], None],
) -> None:
    @portal.cached("forecast:{city}", ttl=30, tags=["any"])
    def forecast(city: str) -> str:
        return city

    with make_app(REDIS_URL=own_redis.url).app_context():
        forecast("Bern")
        own_redis.kill()

        assert forecast("Bern") == "Bern"
        with pytest.raises(RedisUnavailable):
            invalidate(portal, forecast)
