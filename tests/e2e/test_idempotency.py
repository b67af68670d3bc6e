"""A registration that is sent again, on the running portal, as curl and redis-cli see it."""

from .conftest import REGISTER, Portal, user


def test_a_registration_is_sent_again(portal: Portal) -> None:
    key = {"Idempotency-Key": "8e03978e-40d5-43e8-bc93-6894a57f9324"}

    first = portal.request("POST", REGISTER, user("again"), **key)
    repeats = [portal.request("POST", REGISTER, user("again"), **key) for _ in range(4)]
    other = portal.request("POST", REGISTER, user("other"), **key)

    assert first.status == 201
    assert "Idempotency-Replayed" not in first.headers
    assert [(repeat.status, repeat.body) for repeat in repeats] == [(201, first.body)] * 4
    assert {repeat.headers["Idempotency-Replayed"] for repeat in repeats} == {"true"}
    assert other.status == 422
    record = portal.redis("keys idempotency:usermanagement:users.register_user/anyone:*")
    assert 86_300 < int(portal.redis(f"ttl {record}")) <= 86_400
    assert user("again")["password"] not in portal.redis(f"hgetall {record}")
