"""Logins and baskets, kept by Flask-Session."""

import os

from flask import Flask, abort, request, session
from flask_session import Session
from redis import Redis

from . import accounts

app = Flask("basket")
app.config["SESSION_TYPE"] = "redis"
app.config["SESSION_REDIS"] = Redis.from_url(os.environ["REDIS_URL"])
app.config["SESSION_PERMANENT"] = False
app.config["SESSION_COOKIE_SAMESITE"] = "Lax"
Session(app)


@app.post("/login")
def log_in():
    user_id = accounts.user_id_of(request.json["name"], request.json["password"])
    if user_id is None:
        abort(401)
    app.session_interface.regenerate(session)
    session["user_id"] = user_id
    session.permanent = request.json.get("remember", False)
    return "", 204


@app.post("/logout")
def log_out():
    session.clear()
    return "", 204


@app.get("/me")
def me():
    return {"user": session.get("user_id"), "basket": session.get("basket", {})}


@app.post("/basket/<product>")
def add(product):
    basket = session.setdefault("basket", {})
    basket[product] = basket.get(product, 0) + 1
    session.modified = True
    return basket


@app.delete("/basket")
def empty():
    session.pop("basket", None)
    return "", 204
