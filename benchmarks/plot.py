"""A bar chart as SVG. It follows the reader's colour scheme, on a background of its own."""

from collections.abc import Mapping, Sequence
from html import escape
from statistics import median

_WIDTH, _MARGIN, _LABELS, _NUMBERS = 720, 20, 160, 70
_BAR, _GAP, _HEADING = 22, 8, 34

_STYLE = """
text { font: 14px system-ui, -apple-system, "Segoe UI", sans-serif; fill: #1f2328 }
.title { font-weight: 600; font-size: 16px } .group { font-weight: 600 }
.page { fill: #ffffff; stroke: #d1d9e0 } .range { stroke: #1f2328; stroke-width: 1.5 }
.bar { fill: #8c959f } .first { fill: #1f6feb } .third { fill: #c4661f }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3 } .page { fill: #0d1117; stroke: #3d444d } .range { stroke: #e6edf3 }
  .bar { fill: #7d8590 } .first { fill: #4493f8 } .third { fill: #db8a4a }
}"""
_CLASSES = ("bar first", "bar", "bar third")


def bar_chart(title: str, groups: Mapping[str, Mapping[str, Sequence[float]]]) -> str:
    """A bar for each name in each group: the median, and a line from the least to the greatest.

    A name has the same colour in all groups. There may be three names; the first one stands out.
    """
    largest = max(max(values) for group in groups.values() for values in group.values())
    names = list(dict.fromkeys(name for group in groups.values() for name in group))
    lines, y = [_text(_MARGIN, _MARGIN + 14, title, "title")], _MARGIN + 28
    for heading, group in groups.items():
        lines.append(_text(_MARGIN, y + 20, heading, "group"))
        y += _HEADING
        for name, values in sorted(group.items(), key=lambda item: -median(item[1])):
            lines += _bar(y, name, values, largest, _CLASSES[names.index(name)])
            y += _BAR + _GAP
    height = y + _MARGIN
    page = f'<rect class="page" x=".5" y=".5" width="{_WIDTH - 1}" height="{height - 1}" rx="6"/>'
    begin = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" '
        f'width="{_WIDTH}" height="{height}" role="img">'
    )
    parts = [begin, f"<title>{escape(title)}</title>", f"<style>{_STYLE}</style>", page, *lines]
    return "\n".join([*parts, "</svg>", ""])


def _bar(y: int, name: str, values: Sequence[float], largest: float, css: str) -> list[str]:
    begin = _MARGIN + _LABELS
    scale = (_WIDTH - _MARGIN - _NUMBERS - begin) / largest
    width, low, high = (value * scale for value in (median(values), min(values), max(values)))
    middle = y + _BAR / 2
    after = begin + max(width, high) + 8
    return [
        _text(_MARGIN, y + 16, name),
        f'<rect class="{css}" x="{begin}" y="{y}" width="{width:.1f}" height="{_BAR}" rx="3"/>',
        f'<path class="range" d="M{begin + low:.1f} {middle}H{begin + high:.1f}"/>',
        _text(after, y + 16, f"{median(values):,.0f}"),
    ]


def _text(x: float, y: float, text: str, css: str = "") -> str:
    kind = f' class="{css}"' if css else ""
    return f'<text{kind} x="{x:.1f}" y="{y}">{escape(text)}</text>'
