"""What gunicorn's workers share with their master."""

import subprocess
import sys

FORK = """
import gc
from types import SimpleNamespace
from common.pyportal_common.gunicorn.defaults import gunicorn_settings

settings = gunicorn_settings(port=5000)
assert not gc.get_freeze_count()
settings["pre_fork"](SimpleNamespace(WORKERS={}), SimpleNamespace())
print(settings["preload_app"], gc.get_freeze_count() > 10_000, len(gc.get_objects()) < 1_000)
"""


def test_the_collection_in_a_worker_writes_to_nothing_that_the_master_made() -> None:
    done = subprocess.run(
        [sys.executable, "-c", FORK], capture_output=True, text=True, timeout=60, check=True
    )

    assert done.stdout == "True True True\n"
