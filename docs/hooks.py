"""What `make docs` adds to mkdocs: pages from outside docs/, links as a forge has them, and tables
in docstrings.
"""

import os
import re
from pathlib import Path, PurePosixPath
from typing import Any

import griffe
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parent.parent
DOCS = "docs"

# Where the site has the files from outside docs/. Their paths alone would collide with pages.
OUTSIDE = "repository"
PATTERNS = ("*/README.md", "CHANGELOG.md", "CONTRIBUTING.md", "benchmarks/*.svg")

LINK = re.compile(
    r"(?P<text>!?\[(?:`[^`]*`|[^\]`])*\])\((?P<target>[^)#\s:]+)(?P<anchor>#[^)\s]*)?\)"
)
# Lines of a docstring such as "ttl  how long a value is fresh", with continuations.
TABLE = re.compile(r"^(?:\w+ {2,}\S.*\n?(?: {4,}\S.*\n?)*){2,}", re.MULTILINE)
CODE = re.compile(r"^(```.*?^```$)", re.MULTILINE | re.DOTALL)


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Replace the name of a folder in the navigation by its pages, the index first."""
    nav: list[dict[str, Any]] = []
    for section in config.nav or []:
        ((title, content),) = section.items()
        if isinstance(content, str) and not content.endswith(".md"):
            pages = sorted((ROOT / DOCS / content).glob("*.md"))
            pages.sort(key=lambda page: page.stem != "index")
            content = [page.relative_to(ROOT / DOCS).as_posix() for page in pages]
        if content:
            nav.append({title: content})
    config.nav = nav
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the files from outside docs/."""
    for pattern in PATTERNS:
        for path in sorted(ROOT.glob(pattern)):
            uri = f"{OUTSIDE}/{path.relative_to(ROOT).as_posix()}"
            files.append(File.generated(config, uri, abs_src_path=str(path)))
    return files


def on_page_markdown(markdown: str, page: Page, files: Files, **_: object) -> str:
    """Make links between files of the repository links between pages of the site."""
    parts = CODE.split(markdown)
    parts[::2] = [LINK.sub(lambda link: _on_site(link, page, files), text) for text in parts[::2]]
    return "".join(parts)


def _on_site(link: re.Match[str], page: Page, files: Files) -> str:
    """The link as the site has it; its text alone if the site does not have the file."""
    here = PurePosixPath(page.file.src_uri)
    source = here.relative_to(OUTSIDE) if here.parts[0] == OUTSIDE else DOCS / here
    target = os.path.normpath(source.parent / link["target"])
    if target.startswith(f"{DOCS}/"):
        uri = target.removeprefix(f"{DOCS}/")
    else:
        uri = f"{OUTSIDE}/{target}"
        if uri not in files.src_uris and (ROOT / target).exists():
            return link["text"][1:-1]
    return f"{link['text']}({os.path.relpath(uri, here.parent)}{link['anchor'] or ''})"


class DocstringTables(griffe.Extension):  # type: ignore[misc]  # not installed for mypy
    """Makes tables of docstrings' lines that have a name and a description in columns."""

    def on_instance(self, *, obj: griffe.Object, **_: Any) -> None:
        """Change the docstring of one object."""
        if obj.docstring:
            obj.docstring.value = TABLE.sub(_as_table, obj.docstring.value)


def _as_table(found: re.Match[str]) -> str:
    lines = re.sub(r"\n {4,}", " ", found[0]).replace("|", "\\|").splitlines()
    rows = [line.split(None, 1) for line in lines]
    return "| | |\n|---|---|\n" + "".join(f"| `{name}` | {text} |\n" for name, text in rows)
