"""An API with rate limits: Flask-Limiter and `portal.limit`."""
