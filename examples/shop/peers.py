"""A shop's API, limited by Flask-Limiter."""

import os

from flask import Flask, request
from flask_limiter import Limiter
from flask_limiter.util import get_remote_address

app = Flask("shop")
limiter = Limiter(
    get_remote_address,
    app=app,
    application_limits=["30/minute"],
    headers_enabled=True,
    storage_uri=os.environ["REDIS_URL"],
    strategy="moving-window",
)
search_limit = limiter.shared_limit("4/minute", scope="search")


def customer():
    return request.headers.get("X-Customer") or get_remote_address()


def staff():
    return request.headers.get("X-Staff") == "yes"


@app.get("/products")
@limiter.limit("3/minute; 100/hour", exempt_when=staff)
def products():
    return ["lamp", "chair"]


@app.get("/search")
@search_limit
def search():
    return {"found": 2}


@app.get("/suggestions")
@search_limit
def suggestions():
    return {"found": 5}


@app.post("/orders")
@limiter.limit("10/minute", key_func=customer, cost=lambda: request.json["items"])
def order():
    return {"ordered": request.json["items"]}, 201


@app.route("/reviews", methods=["GET", "POST"])
@limiter.limit("1/minute", methods=["POST"])
def reviews():
    return {"reviews": []}


@app.get("/health")
@limiter.exempt
def health():
    return "ok"


@app.errorhandler(429)
def slow_down(error):
    return {"error": "slow down"}, 429
