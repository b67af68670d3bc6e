"""A store on pyportal-common."""

from flask import Flask, request, session
from pyportal_common.extension import Portal

from . import warehouse

app = Flask("store")
app.config["PORTAL_SESSION"] = True
portal = Portal(app)


@portal.cached("price:{product}", ttl=300)
def price_of(product):
    return warehouse.price_of(product)


@app.get("/prices/<product>")
def show_price(product):
    return {"price": price_of(product)}


@app.put("/prices/<product>")
def change_price(product):
    warehouse.set_price(product, request.json["price"])
    price_of.invalidate(product)
    return {"price": request.json["price"]}


@app.get("/offers")
@portal.limit("20 per 4 seconds")
def offers():
    return ["lamp", "chair"]


@app.post("/login/<int:user_id>")
def log_in(user_id):
    portal.login(user_id)
    return "", 204


@app.post("/logout")
def log_out():
    portal.logout()
    return "", 204


@app.get("/me")
def me():
    return {
        "user": portal.user_id,
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
