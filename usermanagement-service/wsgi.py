"""The WSGI application, for gunicorn and the flask command."""

from app import create_app

application = create_app()
