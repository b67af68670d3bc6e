"""Forecasts, cached by Flask-Caching."""

import os

from flask import Flask, abort, request
from flask_caching import Cache

from . import stations

app = Flask("weather")
app.config["CACHE_TYPE"] = "RedisCache"
app.config["CACHE_REDIS_URL"] = os.environ["REDIS_URL"]
cache = Cache(app)


@cache.memoize(timeout=300, cache_none=True)
def degrees(city, unit="C"):
    return stations.measure(city, unit)


@cache.memoize(timeout=60)
def warmest(first, second):
    return max([first, second], key=stations.measure)


@app.get("/forecast/<city>")
@cache.cached(timeout=60, unless=lambda: "fresh" in request.args)
def forecast(city):
    return {"city": city, "degrees": stations.measure(city)}


@app.get("/degrees/<city>")
def show_degrees(city):
    found = degrees(city, request.args.get("unit", "C"))
    if found is None:
        abort(404)
    return {"degrees": found}


@app.get("/warmest")
def show_warmest():
    return {"city": warmest(request.args["first"], request.args["second"])}


@app.post("/reports/<city>/<int:reported>")
def report(city, reported):
    stations.report(city, reported)
    cache.delete_memoized(degrees, city)
    cache.delete_memoized(degrees, city, "F")
    cache.delete_cached(forecast, path=f"/forecast/{city}")
    return "", 204


@app.route("/notice", methods=["GET", "PUT"])
def notice():
    if request.method == "PUT":
        cache.set("notice", request.json, timeout=3600)
    return {"notice": cache.get("notice")}
