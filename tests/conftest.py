"""What several tests of the repository as a whole share."""

import shutil
from collections.abc import Iterator

import pytest

from common.pyportal_common.testing.plugin import missing

from .gateways import Gateway, running_gateway


@pytest.fixture
def gateway() -> Iterator[Gateway]:
    """A running gateway. It needs nginx."""
    if shutil.which("nginx") is None:
        missing("nginx")
    with running_gateway() as running:
        yield running
