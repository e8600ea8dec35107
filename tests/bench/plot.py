"""Growth curves as SVG: measured points on logarithmic axes, the line that was fitted to them, and
how far it is trusted. Nothing but text is written, so a plot changes only when a figure does."""

import math
from xml.sax.saxutils import escape

WIDTH, HEIGHT = 760, 430
LEFT, RIGHT, TOP, BOTTOM = 78, 190, 44, 52
COLOURS = ("#1b6ca8", "#c1440e", "#3a7d44", "#7b4fa3", "#b8860b", "#5c5c5c", "#c2185b", "#00838f")


def human(value):
    for size, name in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:g}{name}"
    return f"{value:g}"


def decades(low, high):
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    return [10.0 ** e for e in range(first, last + 1)]


def ticks(low, high):
    """Decades, and 2 and 5 between them where there are few."""
    steps = (1, 2, 5) if high / low < 500 else (1,)
    return [d * s for d in decades(low, high) for s in steps if low <= d * s <= high * 1.0001]


def label_places(wanted):
    """Heights of the labels at the right, none over another."""
    placed = {}
    for name, y in sorted(wanted.items(), key=lambda item: item[1]):
        placed[name] = max(y, max(placed.values(), default=-99) + 14)
    over = max(placed.values(), default=0) - (HEIGHT - BOTTOM)
    return {name: y - max(over, 0) for name, y in placed.items()}


class Plot:
    def __init__(self, title, x_label, y_label, series):
        """series: [(name, [(x, y) measured], [(x, low, expected, high)])], all values above 0"""
        self.title, self.x_label, self.y_label, self.series = title, x_label, y_label, series
        xs = [p[0] for _, points, line in series for p in points + line]
        ys = [y for _, points, line in series for p in points + line for y in p[1:]]
        self.x_range, self.y_range = (min(xs) / 1.3, max(xs) * 1.2), (min(ys) / 1.3, max(ys) * 1.4)

    def x(self, value):
        low, high = (math.log(v) for v in self.x_range)
        return LEFT + (math.log(value) - low) / (high - low) * (WIDTH - LEFT - RIGHT)

    def y(self, value):
        low, high = (math.log(v) for v in self.y_range)
        return HEIGHT - BOTTOM - (math.log(value) - low) / (high - low) * (HEIGHT - TOP - BOTTOM)

    def path(self, points, closed=False):
        joined = " L".join(f"{self.x(x):.1f},{self.y(y):.1f}" for x, y in points)
        return f"M{joined}{'Z' if closed else ''}"

    def axes(self):
        bottom, right = HEIGHT - BOTTOM, WIDTH - RIGHT
        for value in ticks(*self.x_range):
            at = self.x(value)
            yield f'<path d="M{at:.1f},{TOP}V{bottom}" class="grid"/>'
            yield f'<text x="{at:.1f}" y="{bottom + 18}" class="mid">{human(value)}</text>'
        for value in ticks(*self.y_range):
            at = self.y(value)
            yield f'<path d="M{LEFT},{at:.1f}H{right}" class="grid"/>'
            yield f'<text x="{LEFT - 8}" y="{at + 4:.1f}" class="end">{human(value)}</text>'
        yield f'<path d="M{LEFT},{TOP}V{bottom}H{right}" class="axis"/>'
        yield (f'<text x="{(LEFT + right) / 2}" y="{HEIGHT - 12}" class="mid">'
               f'{escape(self.x_label)}</text>')
        yield (f'<text transform="translate(18 {(TOP + bottom) / 2}) rotate(-90)" class="mid">'
               f'{escape(self.y_label)}</text>')
        yield f'<text x="{LEFT}" y="24" class="title">{escape(self.title)}</text>'

    def curves(self):
        ends = {name: self.y((line[-1][2] if line else points[-1][1]))
                for name, points, line in self.series}
        places = label_places(ends)
        for i, (name, points, line) in enumerate(self.series):
            colour = COLOURS[i % len(COLOURS)]
            if line:
                band = [(x, low) for x, low, _, _ in line] + [(x, h) for x, _, _, h in line[::-1]]
                yield f'<path d="{self.path(band, True)}" fill="{colour}" opacity=".13"/>'
                yield (f'<path d="{self.path([(x, e) for x, _, e, _ in line])}" fill="none" '
                       f'stroke="{colour}" stroke-width="1.6" stroke-dasharray="5 4"/>')
            if len(points) > 1:
                yield (f'<path d="{self.path(points)}" fill="none" stroke="{colour}" '
                       'stroke-width="2"/>')
            for x, y in points:
                yield f'<circle cx="{self.x(x):.1f}" cy="{self.y(y):.1f}" r="3.5" fill="{colour}"/>'
            yield (f'<text x="{WIDTH - RIGHT + 8}" y="{places[name] + 4:.1f}" fill="{colour}">'
                   f'{escape(name)}</text>')

    def svg(self):
        return "\n".join([
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
            f'width="{WIDTH}" height="{HEIGHT}" role="img" aria-label="{escape(self.title)}">',
            "<style>text{font:12px sans-serif}.title{font-weight:bold;font-size:14px}"
            ".mid{text-anchor:middle}.end{text-anchor:end}.grid{stroke:#e3e3e3}"
            ".axis{stroke:#333;fill:none}</style>",
            f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>',
            *self.axes(), *self.curves(), "</svg>", ""])
