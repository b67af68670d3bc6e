"""The settings of a server, with metrics that its workers share and logs as JSON."""

import logging
import os
from pathlib import Path

os.environ["LOG_FORMAT"] = "json"

from common.pyportal_common.gunicorn.defaults import gunicorn_settings
from common.pyportal_common.logging import configure_logging

settings = gunicorn_settings(port=5001)
assert Path(os.environ["PROMETHEUS_MULTIPROC_DIR"]).is_dir()
assert settings["logconfig_dict"]["handlers"]["stderr"]["formatter"] == "json"
configure_logging("json", "INFO")
logging.getLogger("example").info("as JSON")
