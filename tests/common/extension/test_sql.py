"""Commits of Flask-SQLAlchemy's sessions leave no old value in the cache."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from threading import BoundedSemaphore
from typing import Any

import pytest
from flask import Flask
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import select, text, update
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from common.pyportal_common.cache_handlers import Revocation
from common.pyportal_common.db import CachedRow, UndeclaredCacheKeys, revoke_sessions
from common.pyportal_common.extension import Cached, Portal
from common.pyportal_common.redis_server import RedisServer
from common.pyportal_common.settings import ConfigurationError


@dataclass
class Shop:
    """An app module: its extensions, a model and functions that are cached."""

    db: Any
    portal: Portal
    User: Any
    Elsewhere: Any
    age: Cached[[int], int]


@pytest.fixture
def shop() -> Shop:
    class Base(DeclarativeBase):
        pass

    db = SQLAlchemy(model_class=Base)
    portal = Portal(db=db)

    @portal.cached("age:{user_id}", ttl=60)
    def age(user_id: int) -> int:
        return int(db.session.get_one(User, user_id).age)

    class User(CachedRow, db.Model):  # type: ignore[name-defined,misc]
        id: Mapped[int] = mapped_column(primary_key=True)
        age: Mapped[int] = mapped_column(default=0)

        @classmethod
        def cache_keys(cls, row: Mapping[str, Any]) -> Iterable[str]:
            return (age.key(row["id"]),)

    class Elsewhere(CachedRow, db.Model):  # type: ignore[name-defined,misc]
        __bind_key__ = "other"
        id: Mapped[int] = mapped_column(primary_key=True)

        @classmethod
        def cache_keys(cls, row: Mapping[str, Any]) -> Iterable[str]:
            return (f"elsewhere:{row['id']}",)

    return Shop(db, portal, User, Elsewhere, age)


@pytest.fixture
def make_app(
    shop: Shop, redis_server: RedisServer, sql_url: str, tmp_path: Path
) -> Iterator[Callable[..., Flask]]:
    made: list[Flask] = []

    def make(name: str = "shop", url: str = sql_url, **config: Any) -> Flask:
        app = Flask(name, root_path=str(tmp_path), instance_path=str(tmp_path))
        app.config.update(
            {"REDIS_URL": redis_server.url, **config},
            SQLALCHEMY_DATABASE_URI=url.replace("postgresql://", "postgresql+psycopg://"),
            SQLALCHEMY_BINDS={"other": f"sqlite:///{tmp_path / 'other.sqlite3'}"},
            PORTAL_SESSION=True,
        )
        shop.db.init_app(app)
        shop.portal.init_app(app)
        made.append(app)
        with app.app_context():
            shop.db.drop_all()
            shop.db.create_all()
            shop.db.session.add(shop.User(id=1))
            shop.db.session.commit()
        return app

    yield make
    for app in made:
        app.extensions["pyportal"].database.close()
        with app.app_context():
            shop.db.drop_all()
            for engine in shop.db.engines.values():
                engine.dispose()


@pytest.fixture
def app(make_app: Callable[..., Flask]) -> Flask:
    return make_app()


def test_a_commit_in_a_request_invalidates(shop: Shop, app: Flask) -> None:
    @app.post("/age/<int:age>")
    def change(age: int) -> str:
        shop.db.session.get_one(shop.User, 1).age = age
        shop.db.session.commit()
        return "changed"

    @app.get("/age")
    def show() -> str:
        return str(shop.age(1))

    client = app.test_client()
    assert client.get("/age").text == "0"
    client.post("/age/7")
    assert client.get("/age").text == "7"
    with app.app_context():
        assert shop.portal.cache.get("age:1") == 7


def test_rows_that_a_request_has_read_before_are_not_cached(shop: Shop, app: Flask) -> None:
    def commit_elsewhere() -> None:
        with app.app_context():
            shop.db.session.get_one(shop.User, 1).age = 7
            shop.db.session.commit()

    with app.app_context():
        user = shop.db.session.get_one(shop.User, 1)
        shop.db.session.commit()
        assert user.age == 0
        with ThreadPoolExecutor(1) as pool:
            pool.submit(commit_elsewhere).result()

        assert shop.age(1) == 7


def test_a_request_that_fails_changes_nothing(shop: Shop, app: Flask) -> None:
    @app.post("/")
    def fail() -> str:
        shop.db.session.get_one(shop.User, 1).age = 7
        shop.db.session.flush()
        raise ZeroDivisionError

    with app.app_context():
        shop.age(1)
    assert app.test_client().post("/").status_code == 500

    with app.app_context():
        assert shop.portal.cache.get("age:1") == 0
        shop.db.session.commit()
        assert shop.db.session.get_one(shop.User, 1).age == 0


def test_bulk_statements_are_refused_or_name_their_keys(shop: Shop, app: Flask) -> None:
    statement = update(shop.User).values(age=7)
    with app.app_context():
        shop.age(1)
        with pytest.raises(UndeclaredCacheKeys):
            shop.db.session.execute(statement)
        with pytest.raises(UndeclaredCacheKeys):
            shop.User.query.update({"age": 7})
        with pytest.raises(UndeclaredCacheKeys):
            shop.db.session.execute(text("DELETE FROM user"))

        with pytest.raises(TypeError, match="several texts"):
            shop.db.session.execute(statement, execution_options={"cache_keys": "age:1"})
        shop.db.session.rollback()

        keys = [shop.age.key(1)]
        shop.db.session.execute(statement, execution_options={"cache_keys": keys})
        shop.db.session.commit()

        assert shop.age(1) == 7


def test_cached_rows_are_in_the_default_database(shop: Shop, app: Flask) -> None:
    with app.app_context():
        shop.db.session.add(shop.Elsewhere(id=1))
        with pytest.raises(UndeclaredCacheKeys, match="no Database"):
            shop.db.session.commit()


def test_each_app_has_its_own_database(
    shop: Shop, make_app: Callable[..., Flask], redis_server: RedisServer, tmp_path: Path
) -> None:
    one = make_app("one")
    two = make_app(
        "two", f"sqlite:///{tmp_path / 'two.sqlite3'}", REDIS_URL=f"{redis_server.url}/1"
    )
    with two.app_context():
        shop.db.session.get_one(shop.User, 1).age = 2
        shop.db.session.commit()
        assert shop.db.session.scalar(select(shop.User.age)) == 2
    with one.app_context():
        assert shop.age(1) == 0


def test_a_commit_may_end_the_users_sessions(shop: Shop, app: Flask) -> None:
    with app.app_context():
        session = shop.portal.sessions.create(1, {}, auth_epoch=1)
        revoke_sessions(shop.db.session, Revocation(1, 2))
        assert shop.portal.sessions.load(session.session_id)

        shop.db.session.commit()

        assert shop.portal.sessions.load(session.session_id) is None


def test_too_many_waiting_writers_are_a_503(
    shop: Shop, make_app: Callable[..., Flask], own_redis: RedisServer
) -> None:
    app = make_app(REDIS_URL=own_redis.url)
    waiting = app.extensions["pyportal"].database._waiting
    waiting._free = BoundedSemaphore(0)

    @app.post("/")
    def change() -> str:
        shop.db.session.get_one(shop.User, 1).age = 7
        shop.db.session.commit()
        return "changed"

    own_redis.kill()
    assert app.test_client().post("/").status_code == 503
    with app.app_context():
        assert shop.db.session.get_one(shop.User, 1).age == 0


def test_a_commit_in_an_outage_waits_as_long_as_the_app_says(
    shop: Shop, make_app: Callable[..., Flask], own_redis: RedisServer
) -> None:
    app = make_app(REDIS_URL=own_redis.url, CACHE_TRUST_SECONDS="0.4")
    own_redis.kill()

    with app.app_context():
        shop.db.session.get_one(shop.User, 1).age = 7
        began = time.monotonic()
        shop.db.session.commit()

    assert time.monotonic() - began >= 0.4
    with pytest.raises(ConfigurationError, match="CACHE_TRUST_SECONDS"):
        make_app(name="another", CACHE_TRUST_SECONDS="0")


def test_no_request_after_a_change_reads_an_older_value(shop: Shop, app: Flask) -> None:
    """Requests at the same time read and change a row; each reads what it has committed."""

    @app.post("/")
    def change() -> str:
        session = shop.db.session
        user = session.get_one(shop.User, 1)
        user.age = shop.User.age + 1  # by SQL, as others do at the same time
        session.flush()
        mine = user.age
        session.commit()
        return f"{mine} {shop.age(1)}"

    def post() -> list[int]:
        return [int(part) for part in app.test_client().post("/").text.split()]

    with ThreadPoolExecutor(4) as pool:
        answers = [each.result() for each in [pool.submit(post) for _ in range(60)]]

    assert sorted(mine for mine, _ in answers) == list(range(1, 61))
    assert [answer for answer in answers if answer[1] < answer[0]] == []


@pytest.mark.usefixtures("fake_redis")
def test_commits_invalidate_on_the_redis_of_unit_tests(shop: Shop, app: Flask) -> None:
    with app.app_context():
        assert shop.age(1) == 0
        assert shop.portal.cache.get("age:1") == 0
        shop.db.session.get_one(shop.User, 1).age = 7
        shop.db.session.commit()

        assert shop.portal.cache.get("age:1") is None
        assert shop.age(1) == 7


def test_the_database_comes_first() -> None:
    with pytest.raises(RuntimeError, match=r"db\.init_app"):
        Portal(Flask("shop"), db=SQLAlchemy())
