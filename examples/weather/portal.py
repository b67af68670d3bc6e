"""Forecasts, cached by pyportal-common."""

from flask import Flask, abort, request
from pyportal_common.extension import Portal

from . import stations

app = Flask("weather")
portal = Portal(app)


@portal.cached("degrees:{city}/{unit}", ttl=300)
def degrees(city, unit="C"):
    return stations.measure(city, unit)


@portal.cached("warmest:{first}/{second}", ttl=60)
def warmest(first, second):
    return max([first, second], key=stations.measure)


@app.get("/forecast/<city>")
@portal.cached("forecast:{city}", ttl=60, unless=lambda city: "fresh" in request.args)
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
    degrees.invalidate(city)
    degrees.invalidate(city, "F")
    forecast.invalidate(city)
    return "", 204


@app.route("/notice", methods=["GET", "PUT"])
def notice():
    if request.method == "PUT":
        portal.redis.set_json("notice", request.json, ttl=3600)
    return {"notice": portal.redis.get_json("notice")}
