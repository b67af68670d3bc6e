"""A process that delivers messages: python -m tests.common.outbox_process SQL_URL URL POINT.

It kills itself at a point: "claimed", "posted", "before-commit" or "recorded".
"""

import os
import signal
import sys
from typing import Any

from sqlalchemy import event

from common.pyportal_common.jobs.outbox_delivery import OutboxDelivery

from .outboxes import Outbox


def die(*_: object) -> None:
    """End at once, as after a loss of power."""
    os.kill(os.getpid(), signal.SIGKILL)


def main(sql_url: str, url: str, point: str) -> None:
    """Deliver what is due, until the point."""
    outbox = Outbox(sql_url, url)
    name = {"claimed": "_claim", "posted": "_attempt", "before-commit": "_attempt"}
    step = name.get(point, "_record")
    original = getattr(OutboxDelivery, step)

    def then_die(*given: Any) -> Any:
        result = original(*given)
        if point == "before-commit":
            event.listen(outbox.database.engine, "commit", die)
        else:
            die()
        return result

    setattr(OutboxDelivery, step, then_die)
    outbox.delivery.run_pending()


if __name__ == "__main__":
    main(*sys.argv[1:])
