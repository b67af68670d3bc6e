"""A shop's API, limited by pyportal-common."""

from flask import Flask, request
from pyportal_common.extension import Portal, header

app = Flask("shop")
app.config["PORTAL_APPLICATION_LIMITS"] = "30/minute"
portal = Portal(app)
search_limit = portal.limit("4/minute", name="search")


def staff():
    return request.headers.get("X-Staff") == "yes"


@app.get("/products")
@portal.limit("3/minute; 100/hour", exempt=staff)
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
@portal.limit("10/minute", by=header("X-Customer"), cost=lambda: request.json["items"])
def order():
    return {"ordered": request.json["items"]}, 201


@app.route("/reviews", methods=["GET", "POST"])
@portal.limit("1/minute", methods=["POST"])
def reviews():
    return {"reviews": []}


@app.get("/health")
@portal.exempt
def health():
    return "ok"


@app.errorhandler(429)
def slow_down(error):
    return {"error": "slow down"}, 429
