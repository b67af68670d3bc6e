"""Logins and baskets, kept by pyportal-common."""

from flask import Flask, abort, request, session
from pyportal_common.extension import Portal

from . import accounts

app = Flask("basket")
app.config["PORTAL_SESSION"] = True
app.config["SESSION_COOKIE_SAMESITE"] = "Lax"
portal = Portal(app)


@app.post("/login")
def log_in():
    user_id = accounts.user_id_of(request.json["name"], request.json["password"])
    if user_id is None:
        abort(401)
    portal.login(user_id)
    session.permanent = request.json.get("remember", False)
    return "", 204


@app.post("/logout")
def log_out():
    portal.logout()
    return "", 204


@app.get("/me")
def me():
    return {"user": portal.user_id, "basket": session.get("basket", {})}


@app.post("/basket/<product>")
def add(product):
    basket = session.setdefault("basket", {})
    basket[product] = basket.get(product, 0) + 1
    return basket


@app.delete("/basket")
def empty():
    session.pop("basket", None)
    return "", 204
