"""Lua scripts, loaded as package data."""

import hashlib
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Self


@dataclass(frozen=True, slots=True)
class Script:
    """A Lua script, run by its SHA-1: its text is sent once for each start of the server."""

    text: str
    sha: str

    @classmethod
    @cache
    def load(cls, package: str, name: str) -> Self:
        """The script `{name}.lua` in `package`, the `__package__` of the calling module."""
        return cls.of(resources.files(package).joinpath(f"{name}.lua").read_text("utf-8"))

    @classmethod
    def of(cls, text: str) -> Self:
        """The script with this text."""
        return cls(text, hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest())

    def calling(self, **scripts: Self) -> Self:
        """This script with `scripts` as functions, under the names of the arguments.

        Each function takes KEYS and ARGV, and returns what the script returns.
        """
        functions = (
            f"local function {name}(KEYS, ARGV)\n{script.text}\nend\n"
            for name, script in scripts.items()
        )
        return self.of("".join(functions) + self.text)
