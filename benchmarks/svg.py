"""Small line charts side by side, as SVG text. Knows coordinates and nothing about what they mean."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape

__all__ = ["Panel", "page"]

INK, PALE, LINE, FIT = "#1f2328", "#d0d7de", "#0969da", "#bc4c00"
WIDTH, HEIGHT = 250, 210  # of a panel, with what is written around it
LEFT, RIGHT, TOP, BOTTOM = 50, 14, 46, 44  # how much of that is for writing


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """One chart: points in order, what the axes are, and a verdict. ``fit`` is the (slope, height at 0) of a line.

    ``log_x`` and ``log_y`` make an axis logarithmic; others begin at 0.
    """

    title: str
    verdict: str
    x: str
    y: str
    points: Sequence[tuple[float, float]]
    fit: tuple[float, float] | None = None
    log_x: bool = False
    log_y: bool = False


def page(rows: Sequence[Sequence[Panel]], caption: str) -> str:
    """Return a picture of all panels, row by row."""
    width, height = WIDTH * max(map(len, rows)), HEIGHT * len(rows) + 24
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}">',
        f'<g font-family="Helvetica,Arial,DejaVu Sans,sans-serif" font-size="11" fill="{INK}">',
        f"<title>{escape(caption)}</title>",
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
    ]
    for i, row in enumerate(rows):
        for k, panel in enumerate(row):
            parts += [f'<g transform="translate({k * WIDTH},{i * HEIGHT})">', *_draw(panel), "</g>"]
    parts += [_text(8, height - 9, caption), "</g>", "</svg>", ""]
    return "\n".join(parts)


def _draw(panel: Panel) -> Iterable[str]:
    x = _Axis([point[0] for point in panel.points], LEFT, WIDTH - RIGHT, log=panel.log_x)
    y = _Axis([point[1] for point in panel.points], HEIGHT - BOTTOM, TOP, log=panel.log_y)
    yield _text(LEFT, 18, panel.title, 'font-weight="bold" font-size="13"')
    yield _text(LEFT, 35, panel.verdict, f'fill="{FIT if panel.fit else LINE}"')
    for value in y.ticks:
        yield f'<path d="M{LEFT} {y.at(value):.1f}H{WIDTH - RIGHT}" stroke="{PALE}"/>'
        yield _text(LEFT - 5, y.at(value) + 4, _short(value), 'text-anchor="end"')
    for value in x.ticks:
        yield f'<path d="M{x.at(value):.1f} {HEIGHT - BOTTOM}v4" stroke="{INK}"/>'
        yield _text(x.at(value), HEIGHT - BOTTOM + 16, _short(value), 'text-anchor="middle"')
    yield f'<path d="M{LEFT} {TOP}V{HEIGHT - BOTTOM}H{WIDTH - RIGHT}" fill="none" stroke="{INK}"/>'
    yield _text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - BOTTOM + 32, panel.x, 'text-anchor="middle"')
    middle = (TOP + HEIGHT - BOTTOM) / 2
    yield _text(13, middle, panel.y, f'text-anchor="middle" transform="rotate(-90 13 {middle})"')
    if panel.fit is not None:
        slope, base = panel.fit
        # On a logarithmic axis a straight line is a curve, so it is drawn in steps.
        first, last = panel.points[0][0], panel.points[-1][0]
        span = [first * (last / first) ** (step / 40) if panel.log_x else last * step / 40 for step in range(41)]
        line = [(value, base + slope * value) for value in span if y.low <= base + slope * value <= y.high]
        yield f'<path d="{_path(line, x, y)}" fill="none" stroke="{FIT}" stroke-dasharray="4 3"/>'
    yield f'<path d="{_path(panel.points, x, y)}" fill="none" stroke="{LINE}" stroke-width="1.8"/>'
    for a, b in panel.points:
        yield f'<circle cx="{x.at(a):.1f}" cy="{y.at(b):.1f}" r="2.8" fill="{LINE}"/>'


class _Axis:
    """From values to places. Ends and ticks are round numbers."""

    def __init__(self, values: Sequence[float], start: float, end: float, *, log: bool) -> None:
        self._log, self._start, self._end = log, start, end
        most = max(values)
        if log:
            first, last = math.floor(math.log10(min(values))), math.ceil(math.log10(most))
            self.low, self.high = 10.0**first, 10.0**last
            self.ticks = [10.0**power for power in range(first, last + 1)]
        else:
            step = _round_step(most / 4)
            count = math.ceil(most / step - 1e-9)
            self.low, self.high = 0.0, step * count
            self.ticks = [step * k for k in range(count + 1)]

    def at(self, value: float) -> float:
        """Return the place of a value."""
        share = math.log(value / self.low) / math.log(self.high / self.low) if self._log else value / self.high
        return self._start + share * (self._end - self._start)


def _round_step(least: float) -> float:
    power = 10.0 ** math.floor(math.log10(least))
    return next(power * k for k in (1, 2, 2.5, 5, 10) if power * k >= least * (1 - 1e-9))


def _path(points: Sequence[tuple[float, float]], x: _Axis, y: _Axis) -> str:
    return "M" + "L".join(f"{x.at(a):.1f} {y.at(b):.1f}" for a, b in points)


def _short(value: float) -> str:
    for unit, sign in ((1e6, "M"), (1e3, "k")):
        if value >= unit:
            return f"{value / unit:g}{sign}"
    return f"{value:g}"


def _text(x: float, y: float, text: str, more: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" {more}>{escape(text)}</text>'
