"""Lua scripts, loaded as package data."""

import hashlib
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Self


@dataclass(frozen=True, slots=True)
class Script:
    """A Lua script, run by its SHA-1 so that its text crosses the wire once a server start."""

    text: str
    sha: str

    @classmethod
    @cache
    def load(cls, name: str) -> Self:
        """Read `lua/{name}.lua` of this package."""
        return cls.of(_read_script(name))

    @classmethod
    @cache
    def composed(cls, name: str, *, of: tuple[str, ...]) -> Self:
        """That script, with others before it as functions of their names.

        Each takes KEYS and ARGV of its own, and returns what it would answer alone.
        """
        functions = (
            f"local function {part}(KEYS, ARGV)\n{_read_script(part)}\nend\n" for part in of
        )
        return cls.of("".join(functions) + _read_script(name))

    @classmethod
    def of(cls, text: str) -> Self:
        """The script of this text."""
        return cls(text, hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest())


def _read_script(name: str) -> str:
    return resources.files(__package__).joinpath("lua", f"{name}.lua").read_text("utf-8")
