"""Pages that the server renders: what the console and the front have in common."""

from .errors import own_path, problem_of_page, see_other, to_login
from .filters import NOTHING, printable
from .forms import Filter, PageFilter, read_filter, read_form, read_pairs
from .front import FrontPages, register_front, show, url
from .front_forms import given, read_query
from .pages import done, page_files, refuse_other_origins, render, with_query
from .targets import allowed_target, origin_of

__all__ = [
    "NOTHING",
    "Filter",
    "FrontPages",
    "PageFilter",
    "allowed_target",
    "done",
    "given",
    "origin_of",
    "own_path",
    "page_files",
    "printable",
    "problem_of_page",
    "read_filter",
    "read_form",
    "read_pairs",
    "read_query",
    "refuse_other_origins",
    "register_front",
    "render",
    "see_other",
    "show",
    "to_login",
    "url",
    "with_query",
]
