"""Charts as SVG: lines over numbers, bars over words."""

from html import escape

WIDTH, HEIGHT = 720, 360
LEFT, RIGHT, TOP, BOTTOM = 70, 190, 40, 50
COLOURS = ["#1f5fa8", "#c8500a", "#2d8a4e", "#7b4ba0", "#8c6d1f", "#5a6570", "#b0295b"]


def _nice(top):
    """A round number at or above top, for the end of an axis."""
    if top <= 0:
        return 1.0
    unit = 1.0
    while unit * 10 <= top:
        unit *= 10
    while unit > top:
        unit /= 10
    return next(m * unit for m in (1, 1.5, 2, 3, 4, 5, 6, 8, 10) if m * unit >= top * 0.999)


def _label(value):
    return f"{value:,.0f}" if value >= 10 else f"{value:g}"


class _Frame:
    """Axes, title and legend."""

    def __init__(self, title, x_title, y_title, y_top):
        self.y_top = _nice(y_top)
        self.out = [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
            'font-family="sans-serif" font-size="12">',
            f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>',
            f'<text x="{LEFT}" y="22" font-size="14" font-weight="bold">{escape(title)}</text>',
            f'<text x="{(LEFT + WIDTH - RIGHT) // 2}" y="{HEIGHT - 10}" text-anchor="middle">{escape(x_title)}</text>',
            f'<text transform="translate(16 {HEIGHT // 2}) rotate(-90)" text-anchor="middle">{escape(y_title)}</text>']
        for i in range(5):
            value = self.y_top * i / 4
            self.out.append(f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{self.y(value):.1f}" '
                            f'y2="{self.y(value):.1f}" stroke="#dddddd"/>')
            self.out.append(f'<text x="{LEFT - 6}" y="{self.y(value) + 4:.1f}" text-anchor="end">{_label(value)}</text>')

    def y(self, value):
        """Where a value is."""
        return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * min(value, self.y_top) / self.y_top

    def legend(self, n, name):
        """A line of the legend."""
        y = TOP + 12 + 18 * n
        colour = COLOURS[n % len(COLOURS)]
        self.out.append(f'<rect x="{WIDTH - RIGHT + 14}" y="{y - 9}" width="10" height="10" fill="{colour}"/>')
        self.out.append(f'<text x="{WIDTH - RIGHT + 30}" y="{y}">{escape(name)}</text>')

    def x_label(self, x, text):
        """A label of the horizontal axis."""
        self.out.append(f'<text x="{x:.1f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">{escape(text)}</text>')

    def text(self):
        """The file."""
        return "\n".join(self.out) + "\n</svg>\n"


def lines(title, x_title, y_title, series):
    """series: {name: [(x, y)]}."""
    points = [p for s in series.values() for p in s]
    frame = _Frame(title, x_title, y_title, max(y for _, y in points))
    low, high = min(x for x, _ in points), max(x for x, _ in points)
    span = (high - low) or 1

    def at(x):
        return LEFT + (WIDTH - LEFT - RIGHT) * (x - low) / span

    for i in range(5):
        frame.x_label(at(low + span * i / 4), _label(low + span * i / 4))
    for n, (name, values) in enumerate(series.items()):
        path = " ".join(f"{at(x):.1f},{frame.y(y):.1f}" for x, y in values)
        frame.out.append(f'<polyline points="{path}" fill="none" stroke="{COLOURS[n % len(COLOURS)]}" stroke-width="2"/>')
        frame.legend(n, name)
    return frame.text()


def groups(title, x_title, y_title, series, labels):
    """Bars: series {name: [value for each label]}."""
    frame = _Frame(title, x_title, y_title, max(v for s in series.values() for v in s))
    room = (WIDTH - LEFT - RIGHT) / len(labels)
    width = room * 0.8 / len(series)
    for g, label in enumerate(labels):
        frame.x_label(LEFT + room * (g + 0.5), label)
        for n, values in enumerate(series.values()):
            x = LEFT + room * (g + 0.1) + width * n
            y = frame.y(values[g])
            frame.out.append(f'<rect x="{x:.1f}" y="{y:.1f}" width="{width * 0.92:.1f}" '
                             f'height="{HEIGHT - BOTTOM - y:.1f}" fill="{COLOURS[n % len(COLOURS)]}"/>')
    for n, name in enumerate(series):
        frame.legend(n, name)
    return frame.text()
