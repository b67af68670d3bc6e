"""A store on Flask-Caching, Flask-Limiter and Flask-Session."""

import os

from flask import Flask, request, session
from flask_caching import Cache
from flask_limiter import Limiter
from flask_limiter.util import get_remote_address
from flask_session import Session
from redis import Redis

from . import warehouse

app = Flask("store")
app.config["CACHE_TYPE"] = "RedisCache"
app.config["CACHE_REDIS_URL"] = os.environ["REDIS_URL"]
app.config["SESSION_TYPE"] = "redis"
app.config["SESSION_REDIS"] = Redis.from_url(os.environ["REDIS_URL"])
app.config["RATELIMIT_STORAGE_URI"] = os.environ["REDIS_URL"]
cache = Cache(app)
limiter = Limiter(get_remote_address, app=app, headers_enabled=True)
Session(app)


@cache.memoize(timeout=300)
def price_of(product):
    return warehouse.price_of(product)


@app.get("/prices/<product>")
def show_price(product):
    return {"price": price_of(product)}


@app.put("/prices/<product>")
def change_price(product):
    warehouse.set_price(product, request.json["price"])
    cache.delete_memoized(price_of, product)
    return {"price": request.json["price"]}


@app.get("/offers")
@limiter.limit("20 per 4 seconds")
def offers():
    return ["lamp", "chair"]


@app.post("/login/<int:user_id>")
def log_in(user_id):
    app.session_interface.regenerate(session)
    session["user_id"] = user_id
    return "", 204


@app.post("/logout")
def log_out():
    session.clear()
    return "", 204


@app.get("/me")
def me():
    return {
        "user": session.get("user_id"),
        "currency": session.get("currency"),
        "basket": session.get("basket", []),
    }


@app.post("/currency/<code>")
def choose_currency(code):
    session["currency"] = code
    return "", 204


@app.post("/basket/<product>")
def add(product):
    basket = session.get("basket", [])
    session["basket"] = [*basket, [product, warehouse.price_of(product)]]
    return "", 204


@app.errorhandler(429)
def slow_down(error):
    return {"error": "slow down"}, 429
