"""Runs gunicorn after a check of its variables: `python -m common.pyportal_common.gunicorn wsgi`.

gunicorn reads WEB_CONCURRENCY while it is imported, before any settings of ours, and fails with a
traceback if that is empty or no number.
"""

import os
import sys
import sysconfig
from pathlib import Path

from ..settings import exit_if_misconfigured
from .settings import GunicornSettings


def main() -> None:
    """Replace this process with gunicorn, which gets its arguments."""
    with exit_if_misconfigured():
        settings = GunicornSettings.load()
    variables = os.environ | {"WEB_CONCURRENCY": str(settings.web_concurrency)}
    # Not `-m gunicorn`: at SIGUSR2 gunicorn runs its file again, and the package's own would import
    # gunicorn's `http` in place of Python's.
    script = Path(sysconfig.get_path("scripts"), "gunicorn")
    os.execve(sys.executable, [sys.executable, str(script), *sys.argv[1:]], variables)  # noqa: S606


if __name__ == "__main__":
    main()
