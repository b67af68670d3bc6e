"""The portal on a Redis that speaks TLS only, and wants a certificate of every client."""

from collections.abc import Callable

import pytest

from common.pyportal_common.testing.certificates import TlsRedisServer

from ..portal_api import User
from .conftest import PATIENT, NewPortal

pytestmark = pytest.mark.slow


def test_every_process_of_the_portal_uses_it(
    new_portal: NewPortal, start_tls_redis: Callable[..., TlsRedisServer]
) -> None:
    given = start_tls_redis(mutual=True).client_variables()
    variables = {f"REDIS_{name}".upper(): str(value) for name, value in given.items()}
    portal = new_portal(**PATIENT, **variables)
    portal.start()

    assert portal.make("seed").returncode == 0
    john = User.register(portal, "tls_john")
    assert john.request("GET", f"/users/{john.user_id}").status == 200
    for service in portal.ports:
        doctor = portal.make("flask", service=service, args="doctor")
        assert doctor.returncode == 0, doctor.stdout
    assert portal.redis(f"exists user:sessions:{john.user_id}") == "1"
    waiting = [line for line in portal.redis("client list").splitlines() if "bzpopmin" in line]
    assert len(waiting) == 3  # one of each worker
