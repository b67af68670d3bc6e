"""Forecasts that are cached: Flask-Caching and `portal.cached`."""
