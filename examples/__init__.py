"""The same apps on Flask-Caching, Flask-Limiter and Flask-Session, and on pyportal-common."""
