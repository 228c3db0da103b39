"""The ten digits as pen strokes, in one to three styles each.

A line below is a style: its digit, its name, and the points ``x,y`` that the pen passes through, in
hundredths: x to the right, y downwards, the digit about 200 high. At ``/`` the pen turns a corner:
a stroke ends at the point before it, and the next one begins there. At ``|`` the pen is lifted.

A stroke through two points is straight; through more it is a smooth curve, closed where it ends on
its first point. Equal points of one style are one knot, so strokes that meet stay joined when the
knots are moved.
"""

from __future__ import annotations

__all__ = ["STYLES", "Point", "Stroke", "Style"]

Point = tuple[float, float]
Stroke = tuple[Point, ...]
Style = tuple[Stroke, ...]

_LINES = """\
0 oval: 0,-100 42,-72 60,0 42,72 0,100 -42,72 -60,0 -42,-72 0,-100
0 leaning, past its start: 22,-90 -20,-85 -55,-20 -45,65 -5,100 42,60 55,-20 30,-80 -5,-100
1 stem: 0,-100 0,100
1 flag: -38,-55 5,-100 / 5,100
1 flag and foot: -35,-60 0,-100 / 0,100 | -40,100 40,100
2 flat base: -52,-55 -30,-90 10,-100 45,-75 45,-35 10,20 -55,100 / 60,100
2 loop: -50,-62 -22,-96 25,-93 46,-50 15,12 -28,72 -55,86 -50,58 -15,68 22,96 62,82
3 round top: -50,-70 -20,-97 25,-93 45,-55 25,-18 -12,-6 / 35,8 55,48 30,90 -15,100 -55,74
3 flat top: -50,-100 48,-100 / -8,-20 / 38,-8 55,38 32,85 -12,100 -55,75
4 open: -32,-100 -52,15 / 60,15 | 30,-70 25,100
4 closed: 25,-100 -60,35 / 62,35 | 25,-100 25,100
5 corners: 50,-100 -40,-100 / -46,-12 / 0,-34 44,-12 55,36 30,85 -12,100 -55,76
5 one sweep: 52,-95 0,-98 -38,-78 -30,-30 20,-10 48,30 28,85 -12,100 -50,85
6 curved stem: 38,-96 -8,-72 -42,-15 -50,45 -22,93 22,95 50,50 25,6 -18,8 -50,45
6 straight stem: 15,-100 -28,-20 -48,40 / -30,88 8,100 44,75 44,30 8,4 -30,12 -48,40
7 plain: -55,-100 55,-100 / -15,100
7 bar: -55,-100 55,-100 / 5,0 -15,100 | -32,2 42,-2
7 serif: -55,-65 -52,-100 / 52,-100 / 10,-10 -10,100
8 crossing: 0,-8 -42,-50 0,-100 42,-50 0,-8 -54,50 0,100 54,50 0,-8
8 rings: 0,-10 -34,-24 -42,-56 0,-100 42,-56 34,-24 0,-10 / -42,12 -52,50 0,100 52,50 42,12 0,-10
9 straight stem: 45,-55 30,-90 -8,-100 -46,-72 -42,-26 -5,-6 32,-20 45,-55 / 38,100
9 curved tail: 48,-50 22,-95 -22,-93 -48,-50 -24,-8 20,-10 48,-50 45,20 20,78 -32,98
"""


def _point(text: str) -> Point:
    x, y = text.split(",")
    return int(x) / 100, int(y) / 100


def _style(line: str) -> Style:
    strokes: list[Stroke] = []
    for path in line.partition(":")[2].split("|"):
        corner: Stroke = ()
        for piece in path.split("/"):
            strokes.append((*corner, *map(_point, piece.split())))
            corner = strokes[-1][-1:]
    return tuple(strokes)


STYLES: tuple[tuple[Style, ...], ...] = tuple(
    tuple(_style(line) for line in _LINES.splitlines() if line[0] == digit)
    for digit in "0123456789"
)
