"""Commands of `flask --app wsgi …` with an example in their help, which tests run."""

from typing import Any

from .extras import requires

with requires("cli"):
    import click


class CommandWithExample(click.Command):
    """A command with an example in its help."""

    def __init__(self, *args: Any, example: str = "", **options: Any) -> None:
        super().__init__(*args, **options)
        self.example = example
        """The arguments of `flask --app wsgi`."""
        self.epilog = f"\b\nExample:\n  flask --app wsgi {example}"
