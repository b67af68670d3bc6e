"""The WSGI application, for gunicorn and the flask command."""

from app import create_app
from common.pyportal_common.settings import exit_if_misconfigured

with exit_if_misconfigured():
    application = create_app()
