"""The code that the services share: the Redis layer, the web layer, SQL, jobs and settings.

The wheel installs this package as `pyportal_common`. In the monorepo, which does not install it, it
is `common.pyportal_common`.
"""

import sys

__version__ = "0.1.0"

_other_name = "pyportal_common" if "." in __name__ else "common.pyportal_common"
if _other_name in sys.modules:
    # Two copies would have two circuit breakers and pools for each server, and two classes of each
    # error, so that `except RedisUnavailable` would catch half of them.
    raise ImportError(
        f"{__name__} is {_other_name}, which this process has imported already: use one of the"
        " names everywhere (pyportal_common, except inside the repository of pyportal)"
    )
