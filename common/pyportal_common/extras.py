"""Parts that need more than the core dependencies say which extra to install."""

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def requires(extras: str) -> Iterator[None]:
    """Import in this block what only `extras` install, as in requires("jobs,cli").

    Raises ImportError with the command that installs them if a module is not found.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        package = __name__.partition(".")[0]
        missing = str(error.name).partition(".")[0]
        if missing == package:
            raise
        raise ImportError(
            f"{missing} is not installed: run pip install 'pyportal-common[{extras}]'",
            name=error.name,
        ) from error
