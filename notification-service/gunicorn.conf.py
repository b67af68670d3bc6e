"""The settings of gunicorn."""

from common.pyportal_common.gunicorn.defaults import gunicorn_settings

globals().update(gunicorn_settings(port=5003))
