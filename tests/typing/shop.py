"""A user's app that uses the extension and the core: both type checkers find nothing in it."""

from collections.abc import Iterable, Mapping
from typing import Any, Protocol, assert_type

from flask import Flask, Response, session
from flask.views import MethodView
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import create_engine, select, update
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, scoped_session, sessionmaker

from common.pyportal_common.cache_handlers import (
    Cache,
    Charge,
    Decision,
    Limiter,
    Policy,
    RateLimit,
    RedisClient,
    RedisUnavailable,
    SessionStore,
    get_redis_client,
)
from common.pyportal_common.db import (
    RECORDS,
    CachedRow,
    Database,
    TooManyWaitingWriters,
    UndeclaredCacheKeys,
)
from common.pyportal_common.extension import (
    Cached,
    Caller,
    LimitExceeded,
    Portal,
    PortalSettings,
    header,
    json_field,
)


class Base(DeclarativeBase):
    """The models' base."""


db = SQLAlchemy(model_class=Base)
portal = Portal(user=lambda: 7, db=db)


class Product(CachedRow, Base):
    """A product."""

    __tablename__ = "products"

    id: Mapped[int] = mapped_column(primary_key=True)
    price: Mapped[int]

    @classmethod
    def cache_keys(cls, row: Mapping[str, Any]) -> Iterable[str]:
        """The price."""
        return [price.key(row["id"])]


@portal.cached("price:{product_id}/{currency}", ttl=60, stale_for=300)
def price(product_id: int, currency: str = "CHF") -> int:
    """The price of a product."""
    found = db.session.scalars(select(Product.price).where(Product.id == product_id)).one()
    return found if currency == "CHF" else 2 * found


def key_of_stock(name: str) -> str:
    """A function in place of a template."""
    return f"stock:{name}"


def has_no_name(name: str) -> bool:
    """Whether the cache is not used."""
    return not name


@portal.cached(key_of_stock, policy=Policy(ttl=5), unless=has_no_name)
def stock(name: str) -> dict[str, int]:
    """The stock of a product."""
    return {name: 1}


class Prices:
    """Methods of each kind."""

    factor = 2

    @portal.cached("doubled:{product}", ttl=60)
    def doubled(self, product: int, *, currency: str = "CHF") -> int:
        """A method."""
        return price(product, currency) * self.factor

    @classmethod
    @portal.cached("tripled:{product}", ttl=60)
    def tripled(cls, product: int) -> int:
        """A class method."""
        return price(product) * cls.factor

    @staticmethod
    @portal.cached("static:{product}", ttl=60)
    def static(product: int) -> int:
        """A static method."""
        return price(product)


class Priced(Protocol):
    """What prices something."""

    def __call__(self, product_id: int, currency: str = ..., /) -> int:
        """The price."""
        ...


priced: Priced = price


def create_app() -> Flask:
    """The app."""
    app = Flask(__name__)
    db.init_app(app)
    portal.init_app(app)
    return app


app = create_app()


@app.get("/price/<int:product>")
@portal.limit("5/minute; 100 per 2 hours", by="address", cost=2, methods=["GET"])
@portal.limit(lambda: "9/hour", by=header("X-Api-Key"), exempt=lambda: False, name="prices")
def show_price(product: int) -> dict[str, int]:
    """Show a price."""
    return {"price": price(product)}


@app.get("/own")
@portal.limit("5/minute", by=Caller("tenant", lambda: "a"), on_error="closed")
async def asynchronous() -> str:
    """An asynchronous view."""
    return "ok"


@app.get("/cached")
@portal.cached("page:{number}", ttl=1)
def page(number: int = 1) -> list[str]:
    """A view."""
    return [str(number)]


@app.get("/health")
@portal.exempt
def health() -> str:
    """Whether the app is well."""
    return "well"


class Orders(MethodView):
    """A class of views."""

    @portal.limit("1/minute", by=json_field("product"))
    def post(self, number: int) -> str:
        """Order."""
        return str(number)


@app.errorhandler(LimitExceeded)
def slow_down(error: LimitExceeded) -> tuple[str, int]:
    """Respond to a request over a limit."""
    return f"in {error.decision.retry_after} s", 429


@app.errorhandler(RedisUnavailable)
def closed(_: RedisUnavailable) -> Response:
    """Respond during an outage."""
    return Response("closed", 503)


@app.post("/login")
def log_in() -> str:
    """Log in."""
    portal.login(7, auth_epoch=3)
    session["theme"] = "dark"
    session.permanent = True
    portal.logout()
    return str(portal.revoke_all(7, keep_current=True))


def change(product: int) -> None:
    """Change a price, with each kind of session."""
    db.session.get_one(Product, product).price = 7
    db.session.execute(
        update(Product).values(price=8), execution_options={"cache_keys": [price.key(product)]}
    )
    try:
        db.session.commit()
    except (TooManyWaitingWriters, UndeclaredCacheKeys):
        db.session.rollback()
    engine = create_engine("sqlite:///shop.sqlite3")
    sessions = sessionmaker(engine)
    RECORDS.to_metadata(Base.metadata)
    database = Database(engine, cache=Cache(get_redis_client()), trust_seconds=2.0)
    database.watch(sessions)
    database.watch(scoped_session(sessions))
    with database.begin() as tx, database.read() as reading:
        assert_type(tx.get_one(Product, product), Product)
        reading.get(Product, product)


assert_type(price(7), int)
assert_type(price(product_id=7, currency="EUR"), int)
assert_type(price.invalidate(7), int)
assert_type(price.refresh(7, "EUR"), int)
assert_type(price.key(7), str)
assert_type(price.uncached(7, currency="EUR"), int)
assert_type(stock("tea"), dict[str, int])
assert_type(page(), list[str])
assert_type(show_price(7), dict[str, int])
assert_type(health(), str)
assert_type(Orders().post(7), str)
prices = Prices()
assert_type(prices.doubled(7, currency="EUR"), int)
assert_type(prices.doubled.invalidate(7), int)
assert_type(prices.doubled.uncached(7, currency="EUR"), int)
assert_type(prices.doubled.refresh(7, currency="EUR"), int)
assert_type(Prices.static(7), int)
assert_type(prices.static.invalidate(7), int)
assert_type(Prices.tripled(7), int)
assert_type(Prices.tripled.invalidate(7), int)
assert_type(prices.tripled(7), int)
assert_type(Prices.doubled(prices, 7), int)

with app.app_context():
    assert_type(portal.decision, Decision | None)
    assert_type(portal.redis, RedisClient)
    assert_type(portal.cache, Cache)
    assert_type(portal.limiter, Limiter)
    assert_type(portal.sessions, SessionStore)
    assert_type(portal.redis.get("a:1"), str | None)
    decision = portal.limiter.hit(Charge(RateLimit("login", 5, 60), "address:10.0.0.1"))
    assert_type(decision, Decision)
    assert_type(portal.cache.put("a:1", {"a": 1}, ttl=3), bool)

settings = PortalSettings(limit_headers="draft", default_limits="5/minute")
cached: Cached[[int], int] = portal.cached("square:{number}", ttl=1)(lambda number: number**2)
