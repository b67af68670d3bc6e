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
    def load(cls, package: str, *names: str) -> Self:
        """The script `{name}.lua` in `package`, the `__package__` of the calling module.

        It can call the functions of `odd_values.lua`. Of several names the earlier ones are files
        of more functions.
        """
        files = [resources.files(package).joinpath(f"{name}.lua") for name in names]
        functions = resources.files(__package__).joinpath("odd_values.lua")
        return cls.of("\n".join(file.read_text("utf-8") for file in (functions, *files)))

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
