"""Surfaces of triangles: metres, y up, counter-clockwise from outside (glTF 2.0 §3.7.2.1)."""

import math


class Surface:
    def __init__(self):
        self.positions, self.normals, self.uvs, self.indices = [], [], [], []

    def quad(self, corners, uvs=None, scale=1.0):
        """Four corners, counter-clockwise. Without `uvs` the picture is laid `scale` times a metre along the sides."""
        a, b, c, d = corners
        normal = _unit(_cross(_minus(b, a), _minus(d, a)))
        if uvs is None:
            width, height = math.dist(a, b) * scale, math.dist(a, d) * scale
            uvs = ((0, height), (width, height), (width, 0), (0, 0))
        start = len(self.positions)
        self.positions += corners
        self.normals += [normal] * 4
        self.uvs += uvs
        self.indices += [start, start + 1, start + 2, start, start + 2, start + 3]
        return self

    def triangle(self, corners, scale=1.0):
        a, b, c = corners
        along, normal = _unit(_minus(b, a)), _unit(_cross(_minus(b, a), _minus(c, a)))
        up = _cross(normal, along)
        start = len(self.positions)
        self.positions += corners
        self.normals += [normal] * 3
        self.uvs += [(scale * _dot(_minus(p, a), along), -scale * _dot(_minus(p, a), up)) for p in corners]
        self.indices += [start, start + 1, start + 2]
        return self

    def box(self, low, high, scale=1.0, bottom=False):
        (x, y, z), (u, v, w) = low, high
        self.quad([(x, y, w), (u, y, w), (u, v, w), (x, v, w)], scale=scale)
        self.quad([(u, y, z), (x, y, z), (x, v, z), (u, v, z)], scale=scale)
        self.quad([(u, y, w), (u, y, z), (u, v, z), (u, v, w)], scale=scale)
        self.quad([(x, y, z), (x, y, w), (x, v, w), (x, v, z)], scale=scale)
        self.quad([(x, v, w), (u, v, w), (u, v, z), (x, v, z)], scale=scale)
        if bottom:
            self.quad([(x, y, z), (u, y, z), (u, y, w), (x, y, w)], scale=scale)
        return self

    def lathe(self, profile, centre=(0, 0, 0), sides=24, turns=4, scale=0.5):
        """Turns a profile of (radius, height), given from below, about the vertical axis through `centre`. Edges of the
        profile stay sharp; round it is smooth."""
        length = 0.0
        for (r0, y0), (r1, y1) in zip(profile, profile[1:]):
            piece = math.hypot(r1 - r0, y1 - y0)
            if piece == 0:
                continue
            slope = ((y1 - y0) / piece, (r0 - r1) / piece)
            start = len(self.positions)
            for side in range(sides + 1):
                angle = math.tau * side / sides
                cos, sin = math.cos(angle), -math.sin(angle)
                for radius, height, run in ((r0, y0, length), (r1, y1, length + piece)):
                    self.positions.append((centre[0] + radius * cos, centre[1] + height, centre[2] + radius * sin))
                    self.normals.append((slope[0] * cos, slope[1], slope[0] * sin))
                    self.uvs.append((turns * side / sides, -run * scale))
            for side in range(sides):
                a = start + 2 * side
                if r0 > 0:
                    self.indices += [a, a + 2, a + 3 if r1 > 0 else a + 1]
                if r1 > 0:
                    self.indices += [a, a + 3, a + 1]
            length += piece
        return self

    def check(self, name):
        """Every index is in range and 16 bits wide, every normal has length 1, and no triangle is turned inside out."""
        assert len(self.positions) == len(self.normals) == len(self.uvs) <= 65_535, name
        assert all(abs(math.hypot(*normal) - 1) < 1e-6 for normal in self.normals), name
        for i in range(0, len(self.indices), 3):
            a, b, c = (self.positions[index] for index in self.indices[i:i + 3])
            facing = _cross(_minus(b, a), _minus(c, a))
            assert math.hypot(*facing) > 1e-9, (name, "flat triangle", i)
            assert _dot(facing, self.normals[self.indices[i]]) > 0, (name, "inside out", i)


def gable(surface, low, high, scale=1.0):
    """A saddle roof over the rectangle from `low` to `high` (x, eaves or ridge height, z), its ridge along x."""
    (x, eaves, z), (u, ridge, w) = low, high
    middle = (z + w) / 2
    surface.quad([(x, eaves, w), (u, eaves, w), (u, ridge, middle), (x, ridge, middle)], scale=scale)
    surface.quad([(u, eaves, z), (x, eaves, z), (x, ridge, middle), (u, ridge, middle)], scale=scale)
    return surface


def gable_ends(surface, low, high, scale=1.0):
    (x, eaves, z), (u, ridge, w) = low, high
    middle = (z + w) / 2
    surface.triangle([(u, eaves, w), (u, eaves, z), (u, ridge, middle)], scale=scale)
    surface.triangle([(x, eaves, z), (x, eaves, w), (x, ridge, middle)], scale=scale)
    return surface


def arch(surface, width, height, depth, thick, steps=12, scale=0.5):
    """A round arch, open along z, standing on y = 0 with its middle at the origin."""
    inner, outer = width / 2, width / 2 + thick
    spring = height - inner
    points = [(-1.0, 0.0, -1.0, 0.0)]
    for index in range(steps + 1):
        angle = math.pi * (1 - index / steps)
        points.append((math.cos(angle), math.sin(angle), math.cos(angle), math.sin(angle)))
    points.append((1.0, 0.0, 1.0, 0.0))
    inside = [(p[0] * inner, spring + p[1] * inner) for p in points]
    outside = [(p[2] * outer, spring + p[3] * outer) for p in points]
    for line in (inside, outside):
        line[0], line[-1] = (line[0][0], 0.0), (line[-1][0], 0.0)
    back, front = -depth / 2, depth / 2
    for index in range(len(points) - 1):
        (ax, ay), (bx, by) = inside[index], inside[index + 1]
        (cx, cy), (dx, dy) = outside[index], outside[index + 1]
        surface.quad([(ax, ay, front), (bx, by, front), (dx, dy, front), (cx, cy, front)], scale=scale)
        surface.quad([(bx, by, back), (ax, ay, back), (cx, cy, back), (dx, dy, back)], scale=scale)
        surface.quad([(ax, ay, back), (bx, by, back), (bx, by, front), (ax, ay, front)], scale=scale)
        surface.quad([(cx, cy, front), (dx, dy, front), (dx, dy, back), (cx, cy, back)], scale=scale)
    return surface


def obj(surface, name, library, material):
    """Wavefront OBJ, for tools that read nothing newer."""
    surface.check(name)
    lines = ["# %s: made by scripts/make-worlds" % name, "mtllib " + library, "o " + name, "usemtl " + material]
    lines += ["v %.4f %.4f %.4f" % p for p in surface.positions]
    lines += ["vt %.4f %.4f" % (u, 1 - v) for u, v in surface.uvs]
    lines += ["vn %.4f %.4f %.4f" % n for n in surface.normals]
    for i in range(0, len(surface.indices), 3):
        lines.append("f " + " ".join("%d/%d/%d" % ((index + 1,) * 3) for index in surface.indices[i:i + 3]))
    return lines


def _minus(a, b):
    return (a[0] - b[0], a[1] - b[1], a[2] - b[2])


def _cross(a, b):
    return (a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0])


def _dot(a, b):
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


def _unit(a):
    length = math.hypot(*a)
    return (a[0] / length, a[1] / length, a[2] / length)
