"""Curves with logarithmic axes, as SVG."""

from __future__ import annotations

import math
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 380, 250  # of a plot
LEFT, RIGHT, TOP, BOTTOM = 50, 26, 34, 28  # around what is drawn
COLORS = ("#1f6feb", "#d1242f", "#2da44e", "#8250df")


@dataclass
class Curve:
    """A name, and points with ascending x; both coordinates are above 0."""

    name: str
    points: list[tuple[float, float]]


@dataclass
class Plot:
    """Curves that share their axes."""

    title: str
    curves: list[Curve]


class _Axis:
    """Maps numbers to pixels, logarithmically."""

    def __init__(self, values: list[float], start: float, end: float) -> None:
        self.low = math.floor(math.log10(min(values)))
        self.high = max(math.ceil(math.log10(max(values))), self.low + 1)
        self._start, self._end = start, end

    def at(self, value: float) -> float:
        share = (math.log10(value) - self.low) / (self.high - self.low)
        return self._start + share * (self._end - self._start)

    def ticks(self) -> list[float]:
        return [10.0**power for power in range(self.low, self.high + 1)]


def draw(plots: list[Plot]) -> str:
    """Returns an SVG document with two plots in a row."""
    rows = (len(plots) + 1) // 2
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {2 * WIDTH} {rows * HEIGHT}" '
        'font-family="sans-serif" font-size="11">',
        '<rect width="100%" height="100%" fill="white"/>',
    ]
    for number, plot in enumerate(plots):
        if any(curve.points for curve in plot.curves):
            place = f"translate({number % 2 * WIDTH},{number // 2 * HEIGHT})"
            parts += [f'<g transform="{place}">', *_draw_plot(plot), "</g>"]
    return "\n".join([*parts, "</svg>", ""])


def _draw_plot(plot: Plot) -> list[str]:
    points = [point for curve in plot.curves for point in curve.points]
    across = _Axis([x for x, _ in points], LEFT, WIDTH - RIGHT)
    up = _Axis([y for _, y in points], HEIGHT - BOTTOM, TOP)
    parts = [f'<text x="{LEFT}" y="14" font-weight="bold">{escape(plot.title)}</text>']
    for tick in across.ticks():
        parts.append(_line(across.at(tick), TOP, across.at(tick), HEIGHT - BOTTOM))
        parts.append(f'<text x="{across.at(tick):.1f}" y="{HEIGHT - 12}" text-anchor="middle">{tick:,g}</text>')
    for tick in up.ticks():
        parts.append(_line(LEFT, up.at(tick), WIDTH - RIGHT, up.at(tick)))
        parts.append(f'<text x="{LEFT - 5}" y="{up.at(tick) + 4:.1f}" text-anchor="end">{tick:,g}</text>')
    for number, curve in enumerate(plot.curves):
        color = COLORS[number % len(COLORS)]
        places = [(across.at(x), up.at(y), y) for x, y in curve.points]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y, _ in places)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{color}" stroke-width="2"/>')
        for x, y, value in places:
            parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{color}"><title>{value:.2f}</title></circle>')
        parts.append(f'<text x="{LEFT + 60 * number}" y="28" fill="{color}">{escape(curve.name)}</text>')
    return parts


def _line(x1: float, y1: float, x2: float, y2: float) -> str:
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="#ddd"/>'
