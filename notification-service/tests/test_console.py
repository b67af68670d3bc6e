"""The console of the service: see `ConsoleChecks`."""

from common.pyportal_common.testing.console_checks import ConsoleChecks


class TestConsole(ConsoleChecks):
    """Its pages and acts."""
