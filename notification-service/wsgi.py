"""The application that gunicorn and the flask command load."""

from app import create_app

application = create_app()
