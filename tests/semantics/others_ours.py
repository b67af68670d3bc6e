"""What dogpile.cache is compared in, on the extension."""
# mypy: disable-error-code="no-untyped-def, no-untyped-call"

import os
import threading
from contextlib import suppress

from flask import Flask

from common.pyportal_common.extension import Portal

_URL = os.environ["REDIS_URL"]


def _app():
    app = Flask("app")
    app.config["REDIS_URL"] = _URL
    return app, Portal(app)


def _called_in(app, function, *args):
    with app.app_context():
        return function(*args)


def an_invalidation_during_a_load_holds():
    app, portal = _app()
    prices = {7: "the old price"}
    read, changed = threading.Event(), threading.Event()

    @portal.cached("price:{product}", ttl=300)
    def price_of(product):
        price = prices[product]
        read.set()
        changed.wait(10)
        return price

    reader = threading.Thread(target=_called_in, args=(app, price_of, 7))
    reader.start()
    read.wait(10)
    prices[7] = "the new price"
    _called_in(app, price_of.invalidate, 7)
    changed.set()
    reader.join()
    return _called_in(app, price_of, 7)


def processes_that_miss_together_load_once():
    loads, begun = [], threading.Barrier(2)

    def load():
        loads.append(1)
        with suppress(threading.BrokenBarrierError):  # if only one loads
            begun.wait(1)
        return "value"

    apps = [_app(), _app()]
    functions = [(app, portal.cached("key:one", ttl=300)(load)) for app, portal in apps]
    threads = [threading.Thread(target=_called_in, args=each) for each in functions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return len(loads)


def every_key_expires():
    app, portal = _app()

    @portal.cached("key:one", ttl=300)
    def show():
        return "value"

    with app.app_context():
        show()
        return portal.redis.ttl("key:one") > 0
