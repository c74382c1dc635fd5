"""A picture of a trade for a phone: the bars up to it, entry, exit and levels. Drawn by Pillow, which Bokeh brings along."""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from PIL import Image, ImageDraw, ImageFont

WIDTH, HEIGHT, MARGIN, LABELS = 900, 500, 40, 110
BACKGROUND, TEXT, GRID = "#ffffff", "#1f2933", "#e4e7eb"
RISING, FALLING = "#2f855a", "#c53030"
MOST_BARS = 120


@dataclass(frozen=True, slots=True)
class Line:
    """A price with a name."""

    price: float
    name: str
    colour: str


def draw(title: str, bars: Sequence[Mapping[str, object]], lines: Sequence[Line]) -> bytes | None:
    """A PNG of the newest bars (rows with open, high, low, close, bar_time) with these prices across; None without any bar."""
    prices = [[float(str(bar[name])) for name in ("open", "high", "low", "close")] for bar in bars[-MOST_BARS:]]
    if not prices:
        return None
    marks = [line.price for line in lines]
    low, high = min([bar[2] for bar in prices] + marks), max([bar[1] for bar in prices] + marks)
    chart = _Chart(low, (high - low) or 1.0, len(prices))
    image = Image.new("RGB", (WIDTH, HEIGHT), BACKGROUND)
    pen, font = ImageDraw.Draw(image), ImageFont.load_default(18)
    pen.text((MARGIN, 8), title, TEXT, font)
    for number, (opened, top, bottom, closed) in enumerate(prices):
        colour = RISING if closed >= opened else FALLING
        middle, half = chart.x(number), chart.half
        pen.line([(middle, chart.y(top)), (middle, chart.y(bottom))], colour, 1)
        upper, lower = sorted((chart.y(opened), chart.y(closed)))
        pen.rectangle([middle - half, upper, middle + half, max(lower, upper + 1)], colour)
    _across(pen, font, chart, lines)
    for number, place in ((0, 0.0), (len(prices) - 1, WIDTH - LABELS - 150.0)):
        pen.text((max(MARGIN, place), HEIGHT - 30), str(bars[-len(prices) :][number]["bar_time"])[:16].replace("T", " "), TEXT, font)
    file = io.BytesIO()
    image.save(file, "PNG", optimize=True)
    return file.getvalue()


@dataclass(frozen=True, slots=True)
class _Chart:
    low: float
    span: float
    bars: int

    def x(self, number: int) -> float:
        return MARGIN + (number + 0.5) * (WIDTH - MARGIN - LABELS) / self.bars

    def y(self, price: float) -> float:
        return HEIGHT - MARGIN - (price - self.low) / self.span * (HEIGHT - 2 * MARGIN - 20)

    @property
    def half(self) -> float:
        return max(1.0, 0.35 * (WIDTH - MARGIN - LABELS) / self.bars)


def _across(pen: ImageDraw.ImageDraw, font: ImageFont.ImageFont | ImageFont.FreeTypeFont, chart: _Chart, lines: Sequence[Line]) -> None:
    """Each price as a line with its name; names that would lie on each other are moved apart."""
    at = -100.0
    for line in sorted(lines, key=lambda each: -each.price):
        y = chart.y(line.price)
        pen.line([(MARGIN, y), (WIDTH - LABELS, y)], line.colour, 2)
        at = max(y - 10, at + 20)
        pen.text((WIDTH - LABELS + 6, at), f"{line.name} {line.price:.7g}", line.colour, font)
