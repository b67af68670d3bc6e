"""Wrong uses: each line with `# error` is one that both type checkers find, and no other is."""

from sqlalchemy.orm import Session

from common.pyportal_common.cache_handlers import Cache, Policy, get_redis_client
from common.pyportal_common.db import Database
from common.pyportal_common.extension import Portal

portal = Portal()


@portal.cached("price:{product}", ttl=60)
def price(product: int) -> int:
    """The price of a product."""
    return product


class Prices:
    """Methods of each kind."""

    @portal.cached("doubled:{product}", ttl=60)
    def doubled(self, product: int) -> int:
        """A method."""
        return product

    @staticmethod
    @portal.cached("static:{product}", ttl=60)
    def static(product: int) -> int:
        """A static method."""
        return product

    @classmethod
    @portal.cached("tripled:{product}", ttl=60)
    def tripled(cls, product: int) -> int:
        """A class method."""
        return product


@portal.limit("5/minute")
def view(number: int) -> str:
    """A view."""
    return str(number)


prices = Prices()
price("tea")  # error
price()  # error
price(7, 8)  # error
price(7).upper()  # error
price.invalidate("tea")  # error
price.refresh()  # error
price.key(None)  # error
price.delete(7)  # error
prices.doubled("tea")  # error
prices.doubled.invalidate()  # error
prices.doubled.invalidate(7, 8)  # error
Prices.static("tea")  # error
prices.static.invalidate("tea")  # error
Prices.tripled("tea")  # error
Prices.tripled.invalidate()  # error
view("tea")  # error
view(7).append("tea")  # error
portal.limit(5)  # error
portal.limit("5/minute", by="addres")  # error
portal.limit("5/minute", cost="two")  # error
portal.limit("5/minute", exempt=lambda: "yes")  # error
portal.limit("5/minute", on_error="ignore")  # error
portal.limit("5/minute", methods=7)  # error
portal.cached(7, ttl=60)  # error
portal.cached("a:{b}", ttl="1 minute")  # error
portal.cached("a:{b}", timeout=60)  # error
portal.cached("a:{b}", policy=60)  # error
portal.cached("a:{b}", ttl=60)(7)  # error
portal.exempt(7)  # error
portal.login(None)  # error
portal.revoke_all([7])  # error
portal.init_app("shop")  # error
portal.user_id.upper()  # error
Portal(db="sqlite://")  # error
Portal(user=7)  # error
Database(7)  # error
Database("sqlite:///a").watch(Session)  # error
Cache("redis://")  # error
get_redis_client().set("a", "b", ttl="1 minute")  # error
Policy("60")  # error
