"""Authenticator apps as second factors."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from threading import Barrier
from typing import Any
from xml.etree import ElementTree as ET

import pyotp
import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select
from sqlalchemy.exc import OperationalError

from app.models import AuthenticatorApp, BackupCode
from app.services import Services
from common.pyportal_common.cache_handlers import RateLimit, Session
from common.pyportal_common.db import Database
from common.pyportal_common.jobs.outbox_delivery import OutboxDelivery
from common.pyportal_common.testing.kit import API, bearer, json_of, problem_of

from .conftest import (
    CREDENTIALS,
    FORGOT,
    JANE,
    JOHN,
    LOGIN,
    NEW_PASSWORD,
    Headers,
    Json,
    LogIn,
    MakeApp,
    age_login,
    mails_in,
    register,
    services_of,
    session_of,
    token_in,
)
from .factors import APP, CONFIRM, App, add_app, code_of, log_in_with

FACTORS = f"{API}/factors"
SESSION = f"{API}/session"
REAUTHENTICATE = f"{API}/session/reauthenticate"
BACKUP_CODES = f"{API}/factors/backup-codes"
WRONG_PASSWORD = {**CREDENTIALS, "password": "wrong-horse-battery"}


@pytest.fixture
def app_of_john(client: FlaskClient, headers: Headers) -> App:
    """John's authenticator app."""
    return add_app(client, headers)


def amr_of(client: FlaskClient, headers: Headers) -> list[str]:
    found: list[str] = json_of(client.get(SESSION, headers=headers))["amr"]
    return found


def fail_to_write(*_: object, **__: object) -> None:
    raise OperationalError("made for this test", None, Exception())


class TestEnrolment:
    def test_an_app_gets_the_secret_as_a_url_and_as_a_qr_code(
        self, client: FlaskClient, headers: Headers
    ) -> None:
        response = client.post(APP, headers=headers)

        begun = json_of(response)
        expected = f"otpauth://totp/localhost:john_doe?secret={begun['secret']}&issuer=localhost"
        assert begun["otpauthUrl"] == expected
        assert ET.fromstring(begun["qrSvg"]).tag.endswith("svg")
        assert response.headers["Cache-Control"] == "no-store"

    def test_it_is_in_use_only_after_a_code_confirms_it(
        self, client: FlaskClient, headers: Headers
    ) -> None:
        secret = json_of(client.post(APP, headers=headers))["secret"]

        wrong = client.post(CONFIRM, json={"code": "000000"}, headers=headers)
        assert problem_of(wrong) == (422, ["code"])
        assert log_in_with(client).status_code == 200
        right = client.post(CONFIRM, json={"code": code_of(secret)}, headers=headers)

        assert right.status_code == 200
        assert log_in_with(client).status_code == 401

    def test_the_session_continues_as_one_with_two_factors(
        self, client: FlaskClient, headers: Headers, app_of_john: App
    ) -> None:
        assert client.get(SESSION, headers=headers).status_code == 401
        shown = json_of(client.get(SESSION, headers=app_of_john.headers))
        assert shown["amr"] == ["otp", "pwd", "mfa"]
        assert shown["factors"]["pwd"] <= shown["factors"]["otp"] == shown["auth_at"]

    def test_nothing_is_confirmed_that_was_not_begun(
        self, client: FlaskClient, headers: Headers
    ) -> None:
        response = client.post(CONFIRM, json={"code": "123456"}, headers=headers)

        assert response.status_code == 409

    def test_what_was_begun_expires(
        self,
        client: FlaskClient,
        headers: Headers,
        services: Services,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        secret = json_of(client.post(APP, headers=headers))["secret"]
        later = services.database.now() + timedelta(minutes=16)
        monkeypatch.setattr("app.factors.challenges.current_time", lambda _: later)

        response = client.post(CONFIRM, json={"code": code_of(secret)}, headers=headers)

        assert response.status_code == 409

    def test_the_old_app_is_in_use_until_the_new_one_is_confirmed(
        self, client: FlaskClient, app_of_john: App
    ) -> None:
        begun = json_of(client.post(APP, headers=app_of_john.headers))["secret"]
        assert log_in_with(client, code=code_of(app_of_john.secret)).status_code == 200

        code = {"code": code_of(begun)}
        added = json_of(client.post(CONFIRM, json=code, headers=app_of_john.headers))

        assert added["backupCodes"] is None
        assert log_in_with(client, code=app_of_john.next_code()).status_code == 401
        assert log_in_with(client, code=code_of(begun, steps=1)).status_code == 200

    def test_the_seed_is_encrypted_in_sql_for_its_user(
        self, client: FlaskClient, database: Database, app_of_john: App
    ) -> None:
        register(client, JANE)
        jane = add_app(client, bearer(session_of(client, "jane_doe")))
        with database.begin(changes_cached=False) as tx:
            first, second = tx.scalars(select(AuthenticatorApp)).all()
            assert app_of_john.secret not in first.seed
            second.seed = first.seed  # whoever writes into SQL gains nothing

        copied = client.post(
            LOGIN,
            json={
                "username": "jane_doe",
                "password": JANE["password"],
                "code": code_of(app_of_john.secret, steps=1),
            },
        )

        assert jane.secret != app_of_john.secret
        assert copied.status_code == 401

    def test_the_other_sessions_end_if_the_user_wishes(
        self, client: FlaskClient, log_in: LogIn
    ) -> None:
        one, other = bearer(log_in()), bearer(log_in())

        app = add_app(client, one, endOtherSessions=True)

        assert client.get(SESSION, headers=other).status_code == 401
        assert client.get(SESSION, headers=app.headers).status_code == 200

    def test_otherwise_they_go_on_without_the_factor(
        self, client: FlaskClient, log_in: LogIn
    ) -> None:
        one, other = bearer(log_in()), bearer(log_in())

        add_app(client, one)

        assert amr_of(client, other) == ["pwd"]

    def test_every_change_is_mailed(
        self, client: FlaskClient, services: Services, app_of_john: App
    ) -> None:
        client.post(BACKUP_CODES, headers=app_of_john.headers)
        client.delete(APP, headers=app_of_john.headers)

        changes = [mail["data"]["change"] for mail in mails_in(services, "factors_changed")]
        assert changes == ["app_added", "backup_codes_renewed", "app_removed"]

    def test_without_a_key_there_are_no_apps(self, make_app: MakeApp, log_in: LogIn) -> None:
        client = make_app(factor_keys="").test_client(use_cookies=False)

        response = client.post(APP, headers=bearer(log_in()))

        assert response.status_code == 409


class TestLogin:
    def test_a_code_is_accepted_once(self, client: FlaskClient, app_of_john: App) -> None:
        code = code_of(app_of_john.secret)

        first, again = (log_in_with(client, code=code) for _ in range(2))

        assert (first.status_code, again.status_code) == (200, 401)
        assert amr_of(client, bearer(json_of(first)["session_id"])) == ["otp", "pwd", "mfa"]

    def test_a_code_is_not_accepted_after_a_later_one(
        self, client: FlaskClient, app_of_john: App
    ) -> None:
        assert log_in_with(client, code=app_of_john.next_code()).status_code == 200

        assert log_in_with(client, code=code_of(app_of_john.secret)).status_code == 401

    def test_the_code_that_confirmed_the_app_is_used(
        self, client: FlaskClient, headers: Headers
    ) -> None:
        secret = json_of(client.post(APP, headers=headers))["secret"]
        code = {"code": code_of(secret)}
        client.post(CONFIRM, json=code, headers=headers)

        assert log_in_with(client, **code).status_code == 401

    @pytest.mark.parametrize("steps", [-2, 2])
    def test_codes_outside_of_the_window_are_refused(
        self, client: FlaskClient, app_of_john: App, services: Services,
        monkeypatch: pytest.MonkeyPatch, steps: int,
    ) -> None:  # fmt: skip
        now = services.database.now()  # a step cannot begin meanwhile
        monkeypatch.setattr(services.database, "now", lambda: now)
        code = pyotp.TOTP(app_of_john.secret).at(int(now.timestamp()) + 30 * steps)

        assert log_in_with(client, code=code).status_code == 401

    def test_of_many_logins_with_one_code_at_once_one_succeeds(
        self, app: Flask, app_of_john: App
    ) -> None:
        code, barrier = code_of(app_of_john.secret), Barrier(4)

        def call(_: int) -> int:
            client = app.test_client(use_cookies=False)
            barrier.wait()
            return int(log_in_with(client, code=code).status_code)

        with ThreadPoolExecutor(4) as pool:
            statuses = sorted(pool.map(call, range(4)))

        assert statuses == [200, 401, 401, 401]

    def test_the_clock_of_the_database_decides(
        self, client: FlaskClient, app_of_john: App, services: Services,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:  # fmt: skip
        """Hosts whose clocks differ accept the same codes."""
        now = services.database.now()
        monkeypatch.setattr(services.database, "now", lambda: now + timedelta(minutes=10))

        late = log_in_with(client, code=code_of(app_of_john.secret))
        right = log_in_with(client, code=code_of(app_of_john.secret, steps=20))

        assert (late.status_code, right.status_code) == (401, 200)

    @pytest.mark.parametrize("code", ["١٢٣٤٥٦", "abcdef", "-12345", "+12345", "1" * 40])
    def test_odd_codes_are_wrong(self, client: FlaskClient, app_of_john: App, code: str) -> None:  # noqa: ARG002
        assert log_in_with(client, code=code).status_code == 401

    @pytest.mark.parametrize(
        ("proof", "fields"),
        [
            ({"code": ""}, ["code"]),
            ({"code": 123456}, ["code"]),
            ({"code": "1" * 41}, ["code"]),
            ({"passkey": "x"}, ["passkey"]),
        ],
    )
    def test_an_invalid_proof_is_a_422(
        self, client: FlaskClient, proof: Json, fields: list[str]
    ) -> None:
        assert problem_of(log_in_with(client, **proof)) == (422, fields)

    def test_users_without_a_factor_log_in_as_before(self, client: FlaskClient, john: Json) -> None:
        response = log_in_with(client)

        assert response.status_code == 200
        assert set(json_of(response)) == {"session_id", "expires_in", "user"}
        assert json_of(response)["user"] == john

    def test_a_key_that_is_missing_skips_nothing(self, make_app: MakeApp, app_of_john: App) -> None:
        other = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
        client = make_app(factor_keys=other).test_client(use_cookies=False)

        codes = [code_of(app_of_john.secret), app_of_john.backup_codes[0]]
        statuses = [log_in_with(client, code=code).status_code for code in codes]

        assert log_in_with(client).status_code == 401
        assert statuses == [401, 200]


class TestUniformAnswers:
    def test_the_answer_does_not_tell_what_was_wrong(
        self, client: FlaskClient, app_of_john: App
    ) -> None:
        right = {"code": code_of(app_of_john.secret)}
        register(client, JANE)  # who has no second factor
        jane_wrong = {"username": "jane_doe", "password": "wrong-horse-battery"}
        attempts: list[Json] = [
            CREDENTIALS,  # the right password, without a code
            CREDENTIALS | {"code": "000000"},
            CREDENTIALS | {"code": "0" * 27},
            CREDENTIALS | {"passkey": {}},
            WRONG_PASSWORD,
            WRONG_PASSWORD | right,
            WRONG_PASSWORD | {"code": app_of_john.backup_codes[0]},
            WRONG_PASSWORD | {"code": "000000"},
            {**CREDENTIALS, "username": "nobody"},
            jane_wrong,
            jane_wrong | right,
        ]

        responses = [client.post(LOGIN, json=attempt) for attempt in attempts]

        answers = []
        for response in responses:
            headers = {name: value for name, value in response.headers if name != "X-Request-ID"}
            headers.pop("X-RateLimit-Remaining"), headers.pop("X-RateLimit-Reset")
            answers.append((response.status, {**json_of(response), "request_id": ""}, headers))
        assert all(answer == answers[0] for answer in answers)
        assert answers[0][0] == "401 UNAUTHORIZED"

    def test_a_wrong_password_does_not_use_up_a_code(
        self, client: FlaskClient, app_of_john: App
    ) -> None:
        for code in (code_of(app_of_john.secret), app_of_john.backup_codes[0]):
            assert client.post(LOGIN, json=WRONG_PASSWORD | {"code": code}).status_code == 401

            assert log_in_with(client, code=code).status_code == 200

    def test_missing_and_wrong_factors_count_as_failed_logins(
        self, client: FlaskClient, app_of_john: App
    ) -> None:
        for _ in range(10):
            assert log_in_with(client).status_code == 401

        locked = log_in_with(client, code=code_of(app_of_john.secret))

        assert locked.status_code == 429


class TestGuessing:
    def test_wrong_codes_are_counted_for_the_user_whatever_name_is_given(
        self, make_app: MakeApp, app_of_john: App
    ) -> None:
        limits = {
            "rate_limit_codes": RateLimit("codes", 4, 3600, on_error="closed"),
            "rate_limit_login_failures": RateLimit("login-failures", 1000, 900),
        }
        client = make_app(**limits).test_client(use_cookies=False)
        by_email = {"email": JOHN["email"], "password": JOHN["password"], "code": "000000"}
        for _ in range(2):
            log_in_with(client, code="000000")
            client.post(LOGIN, json=by_email)

        refused = log_in_with(client, code=code_of(app_of_john.secret))
        by_backup_code = log_in_with(client, code=app_of_john.backup_codes[0])

        assert refused.status_code == 401  # and not 429: it would say that the password is right
        assert by_backup_code.status_code == 200

    def test_the_user_is_notified_once(
        self,
        make_app: MakeApp,
        services: Services,
        app_of_john: App,  # noqa: ARG002
    ) -> None:
        limit = RateLimit("codes", 3, 3600, on_error="closed")
        client = make_app(rate_limit_codes=limit).test_client(use_cookies=False)

        for _ in range(5):
            log_in_with(client, code="000000")

        changes = [mail["data"]["change"] for mail in mails_in(services, "factors_changed")]
        assert changes == ["app_added", "wrong_codes"]

    def test_the_mail_follows_when_sql_can_write_again(
        self,
        make_app: MakeApp,
        app_of_john: App,  # noqa: ARG002
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        app = make_app(rate_limit_codes=RateLimit("codes", 3, 3600, on_error="closed"))
        client, services = app.test_client(use_cookies=False), services_of(app)
        statuses = [log_in_with(client, code="000000").status_code for _ in range(2)]

        with monkeypatch.context() as patch:
            patch.setattr(services.database, "begin", fail_to_write)
            statuses += [log_in_with(client, code="000000").status_code for _ in range(2)]
        statuses += [log_in_with(client, code="000000").status_code for _ in range(2)]

        assert statuses == [401] * 6
        changes = [mail["data"]["change"] for mail in mails_in(services, "factors_changed")]
        assert changes == ["app_added", "wrong_codes"]

    @pytest.mark.parametrize("code", ["000000", "aaaaaa-aaaaaa-aaaaaa-aaaaaa"])
    def test_while_sql_cannot_write_no_answer_says_that_the_password_is_right(
        self,
        client: FlaskClient,
        services: Services,
        app_of_john: App,  # noqa: ARG002
        monkeypatch: pytest.MonkeyPatch,
        code: str,
    ) -> None:
        monkeypatch.setattr(services.database, "begin", fail_to_write)

        right = log_in_with(client, code=code)
        wrong = client.post(LOGIN, json=WRONG_PASSWORD | {"code": code})

        assert right.status_code == wrong.status_code == 401

    def test_wrong_passwords_do_not_lock_the_codes(
        self, make_app: MakeApp, app_of_john: App
    ) -> None:
        limit = RateLimit("codes", 1, 3600, on_error="closed")
        client = make_app(rate_limit_codes=limit).test_client(use_cookies=False)
        for _ in range(3):
            client.post(LOGIN, json=WRONG_PASSWORD | {"code": "000000"})

        assert log_in_with(client, code=code_of(app_of_john.secret)).status_code == 200

    def test_each_address_has_as_many_attempts_as_for_passwords(
        self,
        make_app: MakeApp,
        app_of_john: App,  # noqa: ARG002
    ) -> None:
        client = make_app(rate_limit_login=RateLimit("login", 4, 60)).test_client(use_cookies=False)

        statuses = [log_in_with(client, code="000000").status_code for _ in range(5)]

        assert statuses[-1] == 429


class TestBackupCodes:
    def test_there_are_ten_and_each_works_once(
        self, client: FlaskClient, services: Services, app_of_john: App
    ) -> None:
        first, *others = app_of_john.backup_codes
        written = first.upper().replace("-", " ").replace("0", "O").replace("1", "I")

        used = log_in_with(client, code=written)
        again = log_in_with(client, code=first)

        assert len(set(others)) == 9
        assert (used.status_code, again.status_code) == (200, 401)
        session = bearer(json_of(used)["session_id"])
        assert amr_of(client, session) == ["backup", "pwd", "mfa"]
        assert json_of(client.get(FACTORS, headers=session))["backupCodesLeft"] == 9
        assert mails_in(services, "factors_changed")[-1]["data"]["codesLeft"] == 9

    def test_they_are_stored_as_digests(
        self,
        client: FlaskClient,  # noqa: ARG002
        database: Database,
        app_of_john: App,
    ) -> None:
        with database.read() as tx:
            stored = tx.scalars(select(BackupCode.digest)).all()

        assert len(stored) == 10
        assert not {*stored} & {*app_of_john.backup_codes}
        assert {len(digest) for digest in stored} == {64}

    def test_of_many_logins_with_one_code_at_once_one_succeeds(
        self, app: Flask, app_of_john: App
    ) -> None:
        code, barrier = app_of_john.backup_codes[0], Barrier(4)

        def call(_: int) -> int:
            client = app.test_client(use_cookies=False)
            barrier.wait()
            return int(log_in_with(client, code=code).status_code)

        with ThreadPoolExecutor(4) as pool:
            statuses = sorted(pool.map(call, range(4)))

        assert statuses == [200, 401, 401, 401]

    def test_new_ones_replace_them(self, client: FlaskClient, app_of_john: App) -> None:
        renewed = json_of(client.post(BACKUP_CODES, headers=app_of_john.headers))["backupCodes"]

        assert log_in_with(client, code=app_of_john.backup_codes[0]).status_code == 401
        assert log_in_with(client, code=renewed[0]).status_code == 200

    def test_those_of_another_user_do_not_work(
        self,
        client: FlaskClient,
        app_of_john: App,  # noqa: ARG002
    ) -> None:
        register(client, JANE)
        jane = add_app(client, bearer(session_of(client, "jane_doe")))

        assert log_in_with(client, code=jane.backup_codes[0]).status_code == 401

    def test_users_without_a_factor_have_none(self, client: FlaskClient, headers: Headers) -> None:
        assert client.post(BACKUP_CODES, headers=headers).status_code == 409

    def test_they_go_with_the_last_factor(
        self, client: FlaskClient, database: Database, app_of_john: App
    ) -> None:
        assert client.delete(APP, headers=app_of_john.headers).status_code == 204

        with database.read() as tx:
            assert tx.scalars(select(BackupCode)).all() == []
        assert log_in_with(client).status_code == 200
        assert client.delete(APP, headers=app_of_john.headers).status_code == 404


class TestStepUp:
    def test_it_asks_for_the_factor(
        self, client: FlaskClient, services: Services, app_of_john: App
    ) -> None:
        age_login(services, app_of_john.headers)
        password = {"password": JOHN["password"]}

        alone = client.post(REAUTHENTICATE, json=password, headers=app_of_john.headers)
        wrong = password | {"code": "000000"}
        wrong_code = client.post(REAUTHENTICATE, json=wrong, headers=app_of_john.headers)
        right = password | {"code": code_of(app_of_john.secret)}
        fresh = client.post(REAUTHENTICATE, json=right, headers=app_of_john.headers)

        assert (alone.status_code, wrong_code.status_code, fresh.status_code) == (403, 403, 200)
        assert {**json_of(alone), "request_id": ""} == {**json_of(wrong_code), "request_id": ""}
        headers = bearer(json_of(fresh)["session_id"])
        assert client.post(BACKUP_CODES, headers=headers).status_code == 200

    @pytest.mark.parametrize(
        ("method", "path", "body"),
        [
            ("POST", APP, None),
            ("POST", CONFIRM, {"code": "123456"}),
            ("DELETE", APP, None),
            ("POST", BACKUP_CODES, None),
            ("POST", f"{FACTORS}/passkeys/options", None),
            ("POST", f"{FACTORS}/passkeys", {"name": "x", "credential": {}}),
            ("DELETE", f"{FACTORS}/passkeys/1", None),
            ("DELETE", f"{API}/users/me", None),
            ("PATCH", f"{API}/users/me", {"email": "new@example.com"}),
            (
                "PATCH",
                f"{API}/users/me",
                {"email": "new@example.com", "password": JOHN["password"]},
            ),
            (
                "PUT",
                f"{API}/users/me/password",
                {"currentPassword": JOHN["password"], "newPassword": "another-horse-battery"},
            ),
        ],
    )
    def test_a_stale_login_or_one_without_the_factor_is_not_enough(
        self, client: FlaskClient, services: Services, log_in: LogIn,
        method: str, path: str, body: Json | None,
    ) -> None:  # fmt: skip
        one, without = bearer(log_in()), bearer(log_in())
        app = add_app(client, one)
        age_login(services, app.headers)

        responses = [
            client.open(path, method=method, json=body, headers=headers)
            for headers in (app.headers, without)
        ]

        challenges = [each.headers.get("WWW-Authenticate", "") for each in responses]
        assert [each.status_code for each in responses] == [401, 401]
        assert all("insufficient_user_authentication" in each for each in challenges)

    def test_a_reset_does_not_stand_in_for_the_factor(
        self, client: FlaskClient, services: Services, app_of_john: App
    ) -> None:
        client.post(FORGOT, json={"email": JOHN["email"]})
        OutboxDelivery(services.outbox, "usermanagement").run_pending()
        token = token_in(mails_in(services, "password_reset")[0])
        client.post(f"{API}/password/reset", json={"token": token, "newPassword": NEW_PASSWORD})

        def log_in(**code: str) -> int:
            body = {"username": JOHN["username"], "password": NEW_PASSWORD, **code}
            return client.post(LOGIN, json=body).status_code

        assert log_in() == 401
        assert log_in(code=app_of_john.next_code()) == 200

    def test_a_new_password_does_not_stand_in_for_the_factor(
        self, client: FlaskClient, app_of_john: App
    ) -> None:
        passwords = {"currentPassword": JOHN["password"], "newPassword": "another-horse-battery"}
        response = client.put(
            f"{API}/users/me/password", json=passwords, headers=app_of_john.headers
        )
        headers = bearer(json_of(response)["session_id"])
        shown = json_of(client.get(SESSION, headers=headers))

        assert shown["factors"]["otp"] < shown["factors"]["pwd"] == shown["auth_at"]

    def test_a_session_that_another_request_has_renewed_is_not_given_back(
        self,
        client: FlaskClient,
        services: Services,
        headers: Headers,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        secret = json_of(client.post(APP, headers=headers))["secret"]
        rotate = services.session_store.rotate

        def rotate_late(session: Session, **given: Any) -> Session:
            rotate(session, factors=session.factors)
            return rotate(session, **given)

        monkeypatch.setattr(services.session_store, "rotate", rotate_late)
        response = client.post(CONFIRM, json={"code": code_of(secret)}, headers=headers)

        assert response.status_code == 401
        assert json_of(response)["code"] == "session-ended"

    def test_a_session_that_has_ended_meanwhile_adds_nothing(
        self,
        client: FlaskClient,
        services: Services,
        log_in: LogIn,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        headers, elsewhere = bearer(log_in()), bearer(log_in())
        begin = services.factor_additions.begin_app

        def begin_late(*given: object) -> object:
            client.delete(f"{API}/sessions", headers=elsewhere)
            return begin(*given)  # type: ignore[arg-type]  # as they were given

        monkeypatch.setattr(services.factor_additions, "begin_app", begin_late)

        assert client.post(APP, headers=headers).status_code == 401


def test_the_list_shows_no_secret(client: FlaskClient, app_of_john: App) -> None:
    shown = json_of(client.get(FACTORS, headers=app_of_john.headers))

    assert datetime.fromisoformat(shown.pop("app")["createdAt"]) < datetime.now(UTC)
    assert shown == {"passkeys": [], "backupCodesLeft": 10, "removal": None}
