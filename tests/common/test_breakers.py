"""A host that cannot be reached occupies one thread at a time."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from common.pyportal_common.outbound import CircuitBreakers, CircuitOpen


class Unreachable(Exception):
    pass


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def breakers(clock: Clock) -> CircuitBreakers:
    """The breakers after a failed call to host "a"."""
    breakers = CircuitBreakers(60, clock=clock)
    with pytest.raises(Unreachable), breakers.calling("a", Unreachable):
        raise Unreachable
    return breakers


def call(breakers: CircuitBreakers, name: str = "a") -> None:
    with breakers.calling(name, Unreachable):
        pass


def test_after_a_failed_call_the_next_is_not_made(breakers: CircuitBreakers, clock: Clock) -> None:
    clock.now += 10

    with pytest.raises(CircuitOpen) as refused:
        call(breakers)

    assert refused.value.seconds == 50


def test_another_host_is_called(breakers: CircuitBreakers) -> None:
    call(breakers, "b")


def test_another_error_means_that_the_host_was_reached(clock: Clock) -> None:
    breakers = CircuitBreakers(60, clock=clock)
    with pytest.raises(LookupError), breakers.calling("a", Unreachable):
        raise LookupError

    call(breakers)


def test_after_the_pause_one_thread_tries_and_the_others_wait(
    breakers: CircuitBreakers, clock: Clock
) -> None:
    clock.now += 60
    trying, may_end = threading.Event(), threading.Event()

    def hang() -> None:
        with breakers.calling("a", Unreachable):
            trying.set()
            may_end.wait(10)

    with ThreadPoolExecutor(1) as pool:
        one = pool.submit(hang)
        assert trying.wait(10)
        with pytest.raises(CircuitOpen):
            call(breakers)
        may_end.set()
        one.result()

    call(breakers)
