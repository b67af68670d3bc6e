"""Test tools of pyportal's services: pytest plugins, real servers, raw servers and relays.

Not for production code. `pyportal_common.pytest_plugin` is for the tests of any app.
"""

from ..extras import requires

with requires("testing,web,jobs"):
    import flask  # noqa: F401
    import pytest  # noqa: F401
    import sqlalchemy  # noqa: F401
