"""Lua scripts, loaded as package data."""

import hashlib
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Self


@dataclass(frozen=True, slots=True)
class Script:
    """A Lua script, run by its SHA-1 so that its text crosses the wire once per server start."""

    text: str
    sha: str

    @classmethod
    @cache
    def load(cls, package: str, name: str) -> Self:
        """Read `{name}.lua` of `package`: the `__package__` of the module that runs it."""
        return cls.of(resources.files(package).joinpath(f"{name}.lua").read_text("utf-8"))

    @classmethod
    def of(cls, text: str) -> Self:
        """The script with this text."""
        return cls(text, hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest())

    def calling(self, **scripts: Self) -> Self:
        """This script, which may call `scripts` as functions of their names.

        Each takes its own KEYS and ARGV, and returns what it would answer alone.
        """
        functions = (
            f"local function {name}(KEYS, ARGV)\n{script.text}\nend\n"
            for name, script in scripts.items()
        )
        return self.of("".join(functions) + self.text)
