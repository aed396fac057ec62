"""Fields that tile: a field is a list of rows, and its left edge continues its right, its top its bottom."""

import math
import random


def smooth(size, across, down, seed):
    """Value noise between 0 and 1, with `across` x `down` cells on a square of `size` points."""
    dice = random.Random(seed)
    lattice = [[dice.random() for _ in range(across)] for _ in range(down)]
    columns = [_cell(x, size, across) for x in range(size)]
    rows = []
    for y in range(size):
        top, bottom, weight = _cell(y, size, down)
        line = [a + (b - a) * weight for a, b in zip(lattice[top], lattice[bottom])]
        rows.append([line[left] + (line[right] - line[left]) * part for left, right, part in columns])
    return rows


def _cell(place, size, cells):
    index, part = divmod(place * cells / size, 1)
    return int(index), (int(index) + 1) % cells, part * part * part * (part * (part * 6 - 15) + 10)


def cloudy(size, cells, octaves, seed, stretch=1, fall=0.5):
    """Several noises on top of each other, each twice as fine and `fall` as strong; between 0 and 1."""
    total = [[0.0] * size for _ in range(size)]
    strength, sum_of_strengths = 1.0, 0.0
    for octave in range(octaves):
        across = min(size, cells << octave)
        layer = smooth(size, across, min(size, across * stretch), "%s/%d" % (seed, octave))
        for line, more in zip(total, layer):
            line[:] = [a + strength * b for a, b in zip(line, more)]
        sum_of_strengths += strength
        strength *= fall
    return [[value / sum_of_strengths for value in line] for line in total]


def stones(size, cells, seed, jitter=0.8, squash=1.0):
    """Worley noise: for each point (distance to the edge of its stone, distance to its centre, the stone's own number
    between 0 and 1), in units of a cell."""
    dice = random.Random(seed)
    centres = [
        [
            (0.5 + jitter * (dice.random() - 0.5), 0.5 + jitter * (dice.random() - 0.5), dice.random())
            for _ in range(cells)
        ]
        for _ in range(cells)
    ]
    rows = []
    for y in range(size):
        row, down = divmod(y * cells / size, 1)
        line = []
        for x in range(size):
            column, right = divmod(x * cells / size, 1)
            first = second = 9.0
            owner = 0.0
            for dy in (-1, 0, 1):
                stones_of_row = centres[(int(row) + dy) % cells]
                for dx in (-1, 0, 1):
                    cx, cy, number = stones_of_row[(int(column) + dx) % cells]
                    distance = math.hypot((cx + dx - right) * squash, cy + dy - down)
                    if distance < first:
                        first, second, owner = distance, first, number
                    elif distance < second:
                        second = distance
            line.append((second - first, first, owner))
        rows.append(line)
    return rows


def lit(height, strength=1.0):
    """How bright each point of a relief is when light comes from the upper left: 1 on the level."""
    size = len(height)
    rows = []
    for y in range(size):
        here, above = height[y], height[y - 1]
        rows.append([
            max(0.2, min(1.9, 1 + strength * ((here[x] - here[x - 1]) + (here[x] - above[x])))) for x in range(size)
        ])
    return rows


def normals(height, strength):
    """A normal map of a relief, as pixels (glTF 2.0 §3.9.3: x to the right, y up, z towards the viewer)."""
    size = len(height)
    pixels = []
    for y in range(size):
        line = []
        for x in range(size):
            dx = (height[y][(x + 1) % size] - height[y][x - 1]) * strength
            dy = (height[(y + 1) % size][x] - height[y - 1][x]) * strength
            length = math.sqrt(dx * dx + dy * dy + 1)
            line.append((0.5 - dx / length / 2, 0.5 + dy / length / 2, 0.5 + 0.5 / length))
        pixels.append(line)
    return pixels


def mix(a, b, part):
    """The colour `part` of the way from a to b."""
    part = max(0.0, min(1.0, part))
    return tuple(x + (y - x) * part for x, y in zip(a, b))


def scale(colour, factor):
    return tuple(value * factor for value in colour)


def step(low, high, value):
    """0 below low, 1 above high, and a smooth way between."""
    part = max(0.0, min(1.0, (value - low) / (high - low)))
    return part * part * (3 - 2 * part)
