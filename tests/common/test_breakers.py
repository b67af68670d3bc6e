"""Places that cannot be reached hold one thread at a time, and not all of them."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from common.pyportal_common.outbound import CircuitBreakers, CircuitOpen


class Unreachable(Exception):
    """As a call says it."""


def fail(destinations: CircuitBreakers, name: str = "a") -> None:
    with destinations.calling(name, Unreachable):
        raise Unreachable


def call(destinations: CircuitBreakers, name: str = "a") -> None:
    with destinations.calling(name, Unreachable):
        pass


def test_after_a_call_in_vain_the_next_is_not_made() -> None:
    destinations = CircuitBreakers(60)
    with pytest.raises(Unreachable):
        fail(destinations)

    with pytest.raises(CircuitOpen) as refused:
        call(destinations)

    assert 0 < refused.value.seconds <= 60


def test_another_place_is_another_matter() -> None:
    destinations = CircuitBreakers(60)
    with pytest.raises(Unreachable):
        fail(destinations, "a")

    call(destinations, "b")


def test_any_answer_is_an_answer() -> None:
    destinations = CircuitBreakers(60)

    def answer_badly() -> None:
        with destinations.calling("a", Unreachable):
            raise LookupError

    with pytest.raises(LookupError):
        answer_badly()

    call(destinations)


def test_when_the_pause_is_over_one_tries_and_the_others_wait_for_it() -> None:
    destinations = CircuitBreakers(60)
    with pytest.raises(Unreachable):
        fail(destinations)
    destinations._closed_until["a"] = 0  # the pause is over
    tries, may_end = threading.Event(), threading.Event()

    def hang() -> None:
        with destinations.calling("a", Unreachable):
            tries.set()
            may_end.wait(10)

    with ThreadPoolExecutor(1) as pool:
        one = pool.submit(hang)
        assert tries.wait(10)
        with pytest.raises(CircuitOpen):
            call(destinations)
        may_end.set()
        one.result()

    call(destinations)
