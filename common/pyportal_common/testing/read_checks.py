"""What every service must do with the values that its routes read: subclass `ReadChecks`.

A hit is one round trip, wherever caches and sessions are on one server.
"""

# ruff: noqa: S101  assertions: these are tests

import time
from itertools import cycle, islice
from typing import ClassVar

import pytest
from flask import Flask
from flask.testing import FlaskClient

from ..redis_server import RedisServer
from ..web.declarations import operation_of
from .kit import API, ServiceUnderTest, session_headers
from .monitoring import monitored
from .redis_kinds import RedisKind

_TRUST_SECONDS = 2.0
_REQUESTS = 1000


class ReadChecks:
    """Calls the routes that read a value, as user 7. `rows` and `recorded_app` prepare them."""

    paths: ClassVar[dict[str, str]]
    """A path with a value for each route that reads one, by its rule without the prefix."""

    @pytest.mark.usefixtures("rows")
    def test_every_route_that_reads_a_value_is_called(self, recorded_app: Flask) -> None:
        rules = {
            rule.rule.removeprefix(API)
            for rule in recorded_app.url_map.iter_rules()
            if operation_of(recorded_app.view_functions[rule.endpoint]).reads is not None
        }

        assert rules == self.paths.keys()

    @pytest.mark.usefixtures("own_commands_only", "rows")
    @pytest.mark.parametrize("placement", ["together", "another database"], indirect=True)
    def test_a_thousand_reads_are_a_thousand_commands(
        self, recorded_app: Flask, redis_server: RedisServer, redis_kind: RedisKind
    ) -> None:
        """And a renewal of trust for each half of its length at most."""
        client, headers = recorded_app.test_client(use_cookies=False), session_headers(7)
        self._read(client, headers, 2 * len(self.paths))  # fills, and connects

        began = time.monotonic()
        with monitored(redis_server) as commands:
            self._read(client, headers, _REQUESTS)
        took = time.monotonic() - began

        admissions = [line for line in commands.of_clients if '"session:' in line]
        others = [line for line in commands.of_clients if line not in admissions]
        upkeep = {
            '"AUTH"',
            '"INFO" "server" "replication"',
            '"GET" "cache:marker"',
            '"GET" "sessions:marker"',
        }
        if redis_kind.servers == "sentinel":
            upkeep |= {'"PING"', '"INFO"', '"PUBLISH"', '"REPLCONF"'}  # of the other servers
        renewals = [line for line in others if not any(each in line for each in upkeep)]
        assert len(admissions) == _REQUESTS
        assert all('"cache:renewal"' in line for line in renewals)
        assert len(renewals) <= took / (_TRUST_SECONDS / 2) + 1

    @pytest.mark.usefixtures("rows")
    def test_the_values_that_routes_cache_are_those_of_sql(
        self, recorded_app: Flask, service: ServiceUnderTest
    ) -> None:
        client = recorded_app.test_client(use_cookies=False)
        self._read(client, session_headers(7), len(self.paths))

        found = recorded_app.extensions[service.name].cache_verifier.verify()

        assert found.stale == []
        assert found.outcomes["same"] > 0
        assert sum(found.outcomes.values()) == found.outcomes["same"]

    def _read(self, client: FlaskClient, headers: dict[str, str], number: int) -> None:
        for path in islice(cycle(self.paths.values()), number):
            response = client.get(API + path, headers=headers)
            assert response.status_code == 200, path
