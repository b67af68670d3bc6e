"""The worker process, `python -m app.worker`. Any number of them may run."""

from common.pyportal_common.jobs import worker_main

from .services import Services
from .settings import UserManagementSettings

if __name__ == "__main__":
    worker_main(UserManagementSettings.load, Services)
