"""The documented behaviours of the extensions, on them and on ours."""

from functools import cache
from typing import Any

import pytest

from common.pyportal_common.redis_server import RedisServer
from tests.examples.programs import run

from .behaviours import ALL, MISSING

NAMES = [(peer, name) for peer, behaviours in ALL.items() for name in behaviours]


@pytest.fixture(scope="session")
def results(shared_redis: RedisServer) -> Any:
    """The results of all functions of a module, by its name."""

    @cache
    def results_of(peer: str, whose: str) -> dict[str, Any]:
        version = "peers" if whose == "theirs" else "portal"
        found: dict[str, Any] = run(
            version, "tests.semantics.run", f"{peer}_{whose}", redis=shared_redis
        )
        return found

    return results_of


@pytest.mark.parametrize(("peer", "name"), NAMES)
def test_ours_does_what_is_documented_or_differs_on_purpose(
    results: Any, peer: str, name: str
) -> None:
    behaviour = ALL[peer][name]

    if behaviour.ours is MISSING:
        assert name not in results(peer, "ours")
    else:
        assert results(peer, "ours")[name] == behaviour.expected


@pytest.mark.slow
@pytest.mark.parametrize(("peer", "name"), NAMES)
def test_the_extension_does_what_its_documents_say(results: Any, peer: str, name: str) -> None:
    assert results(peer, "theirs")[name] == ALL[peer][name].theirs


@pytest.mark.parametrize("peer", ALL)
def test_every_function_is_a_documented_behaviour(results: Any, peer: str) -> None:
    assert results(peer, "ours").keys() <= ALL[peer].keys()
