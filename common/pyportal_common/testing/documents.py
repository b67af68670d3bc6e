"""The code blocks of Markdown pages, of which tests run all but those that say why not.

    ```python                    runs, in one namespace with the others of the page
    ```python title="app.py"     is a part of this file; more blocks of the title are appended to it
    ```bash                      runs in the folder of these files
    ```text title="It prints"    is in what the commands before it print, line for line

`<!-- not run: … -->` on the line before a block has the reason why it is not run. Blocks of other
languages and without a title are not code.
"""

import re
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

CODE = {"bash", "py", "python", "sh"}

_FENCE = re.compile(r"^(?P<indent> *)```(?P<language>\w*)(?: title=\"(?P<title>[^\"]+)\")?$")
_NOT_RUN = re.compile(r"^ *<!-- not run: (.+) -->$")


@dataclass(frozen=True, slots=True)
class Block:
    """A block of code. `line` is that of its first line; `not_run` says why it is not run."""

    language: str
    title: str | None
    code: str
    line: int
    not_run: str | None

    @property
    def is_example(self) -> bool:
        """Whether it is a part of the program that the page's examples make."""
        return self.language == "python" and not self.title and not self.not_run


def blocks_of(document: Path) -> list[Block]:
    """The code of a page, in order. Raises ValueError for a fence that is not of the above form."""
    lines = document.read_text("utf-8").splitlines()
    fences = [number for number, line in enumerate(lines) if line.lstrip().startswith("```")]
    blocks = []
    for start, end in list(pairwise(fences))[::2]:
        opened = _FENCE.match(lines[start])
        if opened is None:
            raise ValueError(f'{document}:{start + 1}: write ```language or ```language title="…"')
        if opened["language"] in CODE or opened["title"]:
            reason = _NOT_RUN.match(lines[start - 1])
            indent = opened["indent"]  # of a fence in a list
            code = "".join(f"{each.removeprefix(indent)}\n" for each in lines[start + 1 : end])
            why = reason[1] if reason else None
            blocks.append(Block(opened["language"], opened["title"], code, start + 2, why))
    return blocks


def examples_in(document: Path) -> str:
    """The examples of a page as one program, each at its own line numbers."""
    program = ""
    for block in blocks_of(document):
        if block.is_example:
            program += "\n" * (block.line - 1 - program.count("\n")) + block.code
    if "assert " not in program:
        raise ValueError(f"the examples of {document} contain no assertion")
    return program


def in_monorepo(code: str) -> str:
    """Code for an app that installs the wheel, as it is in the monorepo."""
    return re.sub(r"(?<![\w./-])pyportal_common\b", "common.pyportal_common", code)


def run_examples(document: Path) -> None:
    """Run the examples of a page in one namespace."""
    program = compile(in_monorepo(examples_in(document)), str(document), "exec")
    exec(program, {})  # noqa: S102  our own documentation
