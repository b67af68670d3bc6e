"""A line for each series, as SVG. It follows the reader's colour scheme."""

from collections.abc import Mapping, Sequence
from html import escape

_WIDTH, _PANEL, _LEFT, _RIGHT, _TOP = 760, 190, 60, 190, 34
_COLOURS = 8

_STYLE = """
text { font: 12px system-ui, -apple-system, "Segoe UI", sans-serif; fill: #1f2328 }
.title { font-weight: 600; font-size: 14px } .page { fill: #ffffff; stroke: #d1d9e0 }
.axis { stroke: #8c959f; fill: none } polyline { fill: none; stroke-width: 1.5 }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3 } .page { fill: #0d1117; stroke: #3d444d }
}"""

Lines = Mapping[str, Sequence[float]]


def line_chart(minutes: Sequence[float], panels: Mapping[str, Lines]) -> str:
    """A panel below another, each with its title and its lines, from zero to its largest value."""
    height = len(panels) * (_PANEL + _TOP) + 40
    size = f'width="{_WIDTH}" height="{height}" viewBox="0 0 {_WIDTH} {height}"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img">',
        f"<title>{escape(', '.join(panels))}</title>",
        f"<style>{_STYLE}</style>",
        f'<rect class="page" x=".5" y=".5" width="{_WIDTH - 1}" height="{height - 1}" rx="6"/>',
    ]
    for number, (title, lines) in enumerate(panels.items()):
        parts += _panel(_TOP + number * (_PANEL + _TOP), title, minutes, lines)
    parts.append(_text(_LEFT, height - 14, f"0 to {minutes[-1]:.0f} minutes"))
    return "\n".join([*parts, "</svg>", ""])


def _panel(y: int, title: str, minutes: Sequence[float], lines: Lines) -> list[str]:
    largest = max(max(values) for values in lines.values()) or 1.0
    right, bottom = _WIDTH - _RIGHT, y + _PANEL - _TOP
    x_scale, y_scale = (right - _LEFT) / minutes[-1], (bottom - y - 8) / largest
    parts = [
        _text(_LEFT, y, title, "title"),
        f'<path class="axis" d="M{_LEFT} {y + 8}V{bottom}H{right}"/>',
        _text(8, y + 18, f"{largest:,.0f}"),
        _text(8, bottom, "0"),
    ]
    for number, (name, values) in enumerate(lines.items()):
        colour = f"hsl({360 * (number % _COLOURS) // _COLOURS} 60% 50%)"
        points = " ".join(
            f"{_LEFT + x_scale * minute:.1f},{bottom - y_scale * value:.1f}"
            for minute, value in zip(minutes, values, strict=True)
        )
        parts.append(f'<polyline stroke="{colour}" points="{points}"/>')
        at = f'x="{right + 10}" y="{y + 16 + 14 * number}"'
        parts.append(f'<text {at} style="fill:{colour}">{escape(name)}</text>')
    return parts


def _text(x: float, y: float, text: str, css: str = "") -> str:
    kind = f' class="{css}"' if css else ""
    return f'<text{kind} x="{x:.1f}" y="{y}">{escape(text)}</text>'
