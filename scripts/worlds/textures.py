"""The pictures. Every one tiles in both directions, but for the sky, which goes round."""

import math

from .noise import cloudy, lit, mix, normals, scale, smooth, step, stones


def cobblestone(size, seed):
    """Returns the picture and its normal map."""
    cells = stones(size, 9, seed, jitter=0.7)
    grain = cloudy(size, 16, 5, seed + "/grain")
    moss = cloudy(size, 3, 4, seed + "/moss")
    relief = [
        [step(0.02, 0.34, edge) * (1 - 0.25 * middle) + 0.16 * g for (edge, middle, _), g in zip(line, grains)]
        for line, grains in zip(cells, grain)
    ]
    light = lit(relief, 5)
    pixels = []
    for y in range(size):
        line = []
        for x in range(size):
            edge, _, number = cells[y][x]
            stone = mix((0.40, 0.40, 0.42), (0.60, 0.56, 0.50), number)
            stone = scale(stone, 0.62 + 0.55 * grain[y][x])
            joint = mix((0.17, 0.15, 0.13), (0.20, 0.27, 0.13), step(0.45, 0.6, moss[y][x]))
            colour = mix(joint, stone, step(0.03, 0.14, edge))
            line.append(scale(colour, light[y][x]))
        pixels.append(line)
    return pixels, normals(relief, 2.2 * size / 256)


def planks(size, seed, boards=8):
    """Weathered boards, nailed twice at each joint."""
    fibre = cloudy(size, 2, 5, seed + "/fibre", stretch=16, fall=0.62)
    stain = cloudy(size, 4, 3, seed + "/stain")
    tone = smooth(size, 1, boards, seed + "/tone")
    height = size // boards
    pixels = []
    for y in range(size):
        board, down = divmod(y, height)
        shift = (board * 5 % boards) * size // boards
        own = tone[board * height][0]
        line = []
        for x in range(size):
            along = (x + shift) % size
            grain = fibre[y][(x + shift * 3) % size]
            rings = 0.5 + 0.5 * math.sin((grain * 7 + own * 9) * math.tau)
            bright = 0.25 + 0.35 * grain + 0.22 * rings + 0.25 * (own - 0.5)
            colour = mix((0.29, 0.21, 0.14), (0.60, 0.48, 0.35), bright)
            colour = mix(colour, (0.47, 0.46, 0.43), 0.5 * step(0.42, 0.72, stain[y][x]))
            end = min(along, size - along)
            edge = min(down, height - 1 - down, end)
            colour = scale(colour, 0.35 + 0.65 * step(0, 3.5, edge))
            nail = min(math.hypot(abs(end - 11), down - at) for at in (height * 0.25, height * 0.75))
            line.append(mix((0.15, 0.12, 0.11), colour, step(2.0, 3.6, nail)))
        pixels.append(line)
    return pixels


def water(size, seed):
    waves = ((3, 1, 0.30), (1, -4, 0.24), (5, 3, 0.16), (-4, 6, 0.12), (9, -2, 0.08), (7, 11, 0.06), (-13, 5, 0.04))
    bend = cloudy(size, 4, 4, seed)
    pixels = []
    for y in range(size):
        line = []
        for x in range(size):
            u, v, bow = x / size, y / size, bend[y][x]
            height = sum(
                strength * math.sin(math.tau * (fx * u + fy * v) + 5.5 * bow + index)
                for index, (fx, fy, strength) in enumerate(waves)
            )
            colour = mix((0.03, 0.17, 0.25), (0.12, 0.42, 0.47), 0.5 + 0.55 * height)
            glint = 1 - abs(math.sin(math.tau * (2 * u - 3 * v) + 9 * bow + 1.4 * height))
            line.append(mix(colour, (0.80, 0.92, 0.92), 0.55 * glint ** 7 * step(-0.1, 0.5, height)))
        pixels.append(line)
    return pixels


def plaster(size, seed):
    """Whitewash that has seen weather: brushed, stained, and cracked down to the stone here and there."""
    brush = cloudy(size, 8, 5, seed + "/brush")
    stain = cloudy(size, 2, 5, seed + "/stain")
    cracks = stones(size, 5, seed + "/cracks", jitter=0.95)
    where = cloudy(size, 3, 3, seed + "/where")
    light = lit(brush, 2.2)
    pixels = []
    for y in range(size):
        line = []
        for x in range(size):
            colour = mix((0.88, 0.85, 0.78), (0.72, 0.66, 0.56), step(0.45, 0.75, stain[y][x]))
            colour = scale(colour, 0.92 + 0.12 * (brush[y][x] - 0.5))
            wobble = cracks[y][x][0] + 0.12 * (brush[y][x] - 0.5)
            crack = (1 - step(0.0, 0.035, abs(wobble))) * step(0.5, 0.62, where[y][x])
            line.append(scale(mix(colour, (0.42, 0.37, 0.31), 0.8 * crack), light[y][x]))
        pixels.append(line)
    return pixels


def roof(size, seed, rows=8):
    """Beaver-tail tiles in a staggered bond."""
    grain = cloudy(size, 8, 5, seed + "/grain")
    tones = smooth(size, rows, rows, seed + "/tones")
    pitch = size // rows
    pixels = []
    for y in range(size):
        line = []
        for x in range(size):
            # The tile whose rounded end hangs lowest over this point lies on top.
            for above in (1, 0):
                row = (y // pitch - above) % rows
                across = (x + (pitch // 2 if row % 2 else 0)) % size
                u = (across % pitch) / pitch * 2 - 1
                end = 1 + 0.42 * math.sqrt(max(0.0, 1 - u * u))
                down = (y % pitch) / pitch + above
                if down <= end:
                    break
            tone = tones[row * pitch][across // pitch * pitch]
            colour = mix((0.47, 0.20, 0.13), (0.74, 0.38, 0.24), 0.15 + 0.7 * tone + 0.5 * (grain[y][x] - 0.5))
            shade = 0.62 + 0.38 * (1 - u * u) ** 0.35
            rim = step(0.0, 0.09, end - down)
            shadow = 0.55 + 0.45 * step(0.40, 0.62, down) if above == 0 else 1.0
            line.append(scale(colour, shade * (0.45 + 0.55 * rim) * shadow * (0.85 + 0.3 * grain[y][x])))
        pixels.append(line)
    return pixels


def sky(width, seed):
    """A clear evening over the sea: twice as wide as high, the horizon in the middle."""
    height = width // 2
    clouds = cloudy(width, 4, 6, seed, stretch=2, fall=0.55)
    pixels = []
    for y in range(height):
        up = 1 - y / (height * 0.5)
        line = []
        for x in range(width):
            if up >= 0:
                colour = mix((0.98, 0.80, 0.58), (0.24, 0.45, 0.70), up ** 0.55)
                cover = step(0.50, 0.74, clouds[y][x]) * step(0.02, 0.22, up)
                white = mix((0.99, 0.90, 0.80), (0.80, 0.83, 0.88), clouds[(y - 9) % width][x])
                colour = mix(colour, white, 0.85 * cover)
                sun = math.hypot((x - width * 0.30) / width * 2, (y - height * 0.45) / height)
                colour = mix(colour, (1.0, 0.95, 0.82), 1.0 - step(0.015, 0.032, sun) + 0.6 * math.exp(-sun * 11))
            else:
                colour = mix((0.55, 0.55, 0.52), (0.05, 0.20, 0.29), (-up) ** 0.4)
                path = math.exp(-abs(x - width * 0.30) / width * 26)
                ripple = clouds[(y * 7) % width][(x // 3) % width]
                colour = mix(colour, (1.0, 0.86, 0.64), path * step(0.42, 0.6, ripple) * 0.8)
            line.append(colour)
        pixels.append(line)
    return pixels


def grass(size, seed):
    blades = cloudy(size, 32, 3, seed + "/blades", stretch=1, fall=0.8)
    long = smooth(size, size // 2, size // 8, seed + "/long")
    patches = cloudy(size, 3, 4, seed + "/patches")
    light = lit(blades, 1.6)
    pixels = []
    for y in range(size):
        line = []
        for x in range(size):
            colour = mix((0.13, 0.27, 0.08), (0.40, 0.53, 0.19), 0.45 * blades[y][x] + 0.55 * long[y][x])
            colour = mix(colour, (0.50, 0.50, 0.23), 0.45 * step(0.5, 0.75, patches[y][x]))
            line.append(scale(colour, light[y][x]))
        pixels.append(line)
    return pixels


def leaves(size, seed):
    cells = stones(size, 18, seed, jitter=0.95, squash=1.5)
    deep = cloudy(size, 6, 3, seed + "/deep")
    pixels = []
    for y in range(size):
        line = []
        for x in range(size):
            edge, middle, number = cells[y][x]
            colour = mix((0.10, 0.25, 0.09), (0.32, 0.50, 0.20), number)
            colour = scale(colour, 0.35 + 0.65 * step(0.02, 0.20, edge) * (1.12 - 0.6 * middle))
            line.append(scale(colour, 0.6 + 0.75 * deep[y][x]))
        pixels.append(line)
    return pixels


def gravel(size, seed):
    cells = stones(size, 26, seed, jitter=0.95)
    grain = cloudy(size, 32, 3, seed + "/grain")
    relief = [[step(0.0, 0.4, edge) for edge, _, _ in line] for line in cells]
    light = lit(relief, 1.1)
    return [
        [
            scale(
                mix(
                    (0.30, 0.27, 0.23), mix((0.46, 0.42, 0.37), (0.70, 0.66, 0.59), cells[y][x][2]),
                    relief[y][x] * 1.6),
                light[y][x] * (0.8 + 0.4 * grain[y][x]))
            for x in range(size)
        ]
        for y in range(size)
    ]


def brick(size, seed, courses=8):
    """A running bond, two bricks long for every course's four heights."""
    grain = cloudy(size, 8, 5, seed + "/grain")
    height, length = size // courses, size // courses * 2
    tones = smooth(size, size // length, courses, seed + "/tones")
    pixels = []
    for y in range(size):
        course, down = divmod(y, height)
        line = []
        for x in range(size):
            along = (x + (length // 2 if course % 2 else 0)) % size
            right = along % length
            edge = min(right, length - 1 - right, down, height - 1 - down) + 3 * (grain[y][x] - 0.5)
            tone = tones[course * height][along // length * length]
            face = scale(mix((0.45, 0.20, 0.15), (0.66, 0.36, 0.26), tone), 0.7 + 0.55 * grain[y][x])
            joint = scale((0.68, 0.65, 0.58), 0.75 + 0.4 * grain[y][x])
            line.append(mix(joint, face, step(0.6, 2.2, edge)))
        pixels.append(line)
    return pixels
