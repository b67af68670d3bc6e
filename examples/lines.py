"""Prints how long the examples are, as a table in Markdown: python -m examples.lines

Counted are the lines that are not blank and hold more than a comment or a docstring.
"""

import ast
import io
import tokenize
from pathlib import Path

FOLDER = Path(__file__).parent
EXAMPLES = {
    "weather": "Flask-Caching",
    "shop": "Flask-Limiter",
    "basket": "Flask-Session",
    "store": "all three",
}
_WITHOUT_CODE = {
    tokenize.COMMENT,
    tokenize.NL,
    tokenize.NEWLINE,
    tokenize.INDENT,
    tokenize.DEDENT,
    tokenize.ENDMARKER,
}


def lines_of(example: str, version: str) -> int:
    """How many lines of code a version of an example has."""
    text = (FOLDER / example / f"{version}.py").read_text("utf-8")
    lines: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type not in _WITHOUT_CODE:
            lines.update(range(token.start[0], token.end[0] + 1))
    return len(lines - _docstring_lines(text))


def _docstring_lines(text: str) -> set[int]:
    lines: set[int] = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Module | ast.FunctionDef | ast.ClassDef) and ast.get_docstring(
            node
        ):
            lines.update(range(node.body[0].lineno, (node.body[0].end_lineno or 0) + 1))
    return lines


def table() -> str:
    """The table, in Markdown."""
    rows = ["| example | from | theirs | ours |", "|---|---|---|---|"]
    for example, peers in EXAMPLES.items():
        theirs, ours = (lines_of(example, version) for version in ("peers", "portal"))
        rows.append(f"| `{example}` | {peers} | {theirs} | {ours} |")
    return "\n".join(rows)


if __name__ == "__main__":
    print(table())
