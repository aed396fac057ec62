"""The harbour: a small port at evening, with a lighthouse, a boat, four houses and two portals."""

import math

from . import files, sounds, textures
from .meshes import Surface, arch, gable, gable_ends, obj


def make():
    made = {}
    stone, bumps = textures.cobblestone(512, "harbour/stone")
    pictures = {
        "cobblestone": stone,
        "cobblestone-normal": bumps,
        "planks": textures.planks(512, "harbour/planks"),
        "water": textures.water(512, "harbour/water"),
        "plaster": textures.plaster(512, "harbour/plaster"),
        "roof": textures.roof(512, "harbour/roof"),
        "sky": textures.sky(1_024, "harbour/sky"),
    }
    for name, pixels in pictures.items():
        made["harbour/textures/%s.png" % name] = files.png(pixels)
    for name, sound in (("waves", sounds.waves()), ("gulls", sounds.gulls()), ("bell", sounds.bell()),
                        ("creak", sounds.creak()), ("portal", sounds.portal())):
        made["harbour/sounds/%s.wav" % name] = files.wav(sound, sounds.RATE)
    made["harbour/meshes/harbour.glb"] = files.glb(meshes(), {
        "cobblestone": ("../textures/cobblestone.png", 0.9),
        "planks": ("../textures/planks.png", 0.8),
        "plaster": ("../textures/plaster.png", 0.95),
        "roof": ("../textures/roof.png", 0.85),
        "water": ("../textures/water.png", 0.15),
    })
    made["harbour/meshes/crate.obj"] = files.text(
        obj(Surface().box((-0.5, 0, -0.5), (0.5, 1, 0.5), bottom=True), "crate", "crate.mtl", "planks"))
    made["harbour/meshes/crate.mtl"] = files.text(["newmtl planks", "Kd 1 1 1", "map_Kd ../textures/planks.png"])
    made["harbour/scene.json"] = files.document(scene())
    made["harbour/README.md"] = files.text(README)
    return made


def meshes():
    quay = Surface().box((-30, -4, -18), (30, 0, 10), scale=0.25)
    jetty = Surface()
    for plank in range(20):
        jetty.box((-1.5, -0.35, 10.02 + plank), (1.5, -0.2, 10.96 + plank), scale=0.5, bottom=True)
    for post in range(5):
        for side in (-1.3, 1.3):
            jetty.lathe([(0.16, -4), (0.16, 0.7), (0, 0.78)], (side, 0, 11 + 4.6 * post), sides=10, turns=1)
    water = Surface()
    for x in range(-4, 4):
        for z in range(-3, 5):
            a, b, c, d = x * 20, z * 20, (x + 1) * 20, (z + 1) * 20
            water.quad([(a, -1.4, d), (c, -1.4, d), (c, -1.4, b), (a, -1.4, b)], scale=0.125)

    house = Surface().box((-4, 0, -3), (4, 5, 3), scale=0.25)
    gable_ends(house, (-4, 5, -3), (4, 8, 3), scale=0.25)
    tiles = gable(Surface(), (-4.4, 4.8, -3.5), (4.4, 8.15, 3.5), scale=0.5)
    wood = Surface().box((-0.7, 0, 2.9), (0.7, 2.3, 3.08), scale=0.8)
    for x in (-2.8, 2.8):
        wood.box((x - 0.55, 1.3, 2.9), (x + 0.55, 2.6, 3.06), scale=0.8, bottom=True)
        wood.box((x - 0.5, 3.3, 2.9), (x + 0.5, 4.4, 3.06), scale=0.8, bottom=True)

    tower = Surface().lathe([(3.2, 0), (3.2, 1), (2.5, 1.2), (1.8, 14), (2.5, 14.3), (2.5, 14.7), (1.2, 14.7)], turns=6)
    lantern = Surface().lathe([(1.2, 14.7), (1.2, 16.6)], sides=12, turns=4)
    cap = Surface().lathe([(0, 16.5), (1.6, 16.6), (0.25, 18.2), (0, 18.6)], sides=12, turns=4)

    barrel = Surface().lathe([(0, 0), (0.34, 0), (0.42, 0.3), (0.42, 0.62), (0.34, 0.92), (0, 0.92)], sides=14)
    portal = arch(Surface(), 2.4, 3.4, 0.9, 0.55)
    return {
        "quay": [("cobblestone", quay)],
        "jetty": [("planks", jetty)],
        "water": [("water", water)],
        "house": [("plaster", house), ("roof", tiles), ("planks", wood)],
        "lighthouse": [("plaster", tower), ("planks", lantern), ("roof", cap)],
        "portal": [("cobblestone", portal)],
        "boat": [("planks", boat())],
        "barrel": [("planks", barrel)],
    }


def boat(stations=14, ribs=9):
    """A rowing boat: frames along the keel, pointed at the bow, with an inside as well as an outside."""
    surface = Surface()
    frames = []
    for station in range(stations + 1):
        t = station / stations
        half = 0.85 * math.sin(math.pi * (0.08 + 0.92 * t) * 0.5 + 0.9 * (1 - t)) * (1 - t ** 5)
        half = max(half, 0.03)
        keel, rim = -0.45 + 0.35 * t ** 4, 0.35 + 0.28 * t ** 2
        frame = []
        for rib in range(ribs + 1):
            angle = math.pi * rib / ribs
            frame.append((-half * math.cos(angle), rim + (keel - rim) * math.sin(angle) ** 0.8, 2.4 * (1 - 2 * t)))
        frames.append(frame)
    for first, second in zip(frames, frames[1:]):
        for rib in range(ribs):
            a, b, c, d = first[rib], first[rib + 1], second[rib + 1], second[rib]
            surface.triangle([a, b, c], scale=0.5).triangle([a, c, d], scale=0.5)
            surface.triangle([c, b, a], scale=0.5).triangle([d, c, a], scale=0.5)
    stern = frames[0]
    for rib in range(1, ribs):
        surface.triangle([stern[0], stern[rib], stern[rib + 1]])
        surface.triangle([stern[rib + 1], stern[rib], stern[0]])
    for z in (-0.7, 0.8):
        surface.box((-0.75, 0.05, z - 0.14), (0.75, 0.11, z + 0.14), scale=0.5, bottom=True)
    return surface


def scene():
    mesh = "meshes/harbour.glb#"
    nodes = [
        {"name": "water", "mesh": mesh + "water", "material": "water", "scroll": [0.01, 0.004]},
        {
            "name": "quay", "mesh": mesh + "quay", "material": "cobblestone",
            "children": [
                {"name": "jetty", "mesh": mesh + "jetty"},
                {"name": "harbour-steps", "mesh": mesh + "portal", "position": [0, 0, -14], "portal": "harbour-steps"},
                {
                    "name": "lighthouse", "mesh": mesh + "lighthouse", "position": [24, 0, 4],
                    "children": [
                        {"name": "lamp", "position": [0, 15.6, 0], "light": "beacon"},
                        {"name": "lighthouse-door", "mesh": mesh + "portal", "position": [-3.4, 0, 0], "yaw": -90,
                         "portal": "lighthouse-door"},
                    ],
                },
                {
                    "name": "cargo", "position": [-3.5, 0, 7],
                    "children": [
                        {"name": "crate-1", "mesh": "meshes/crate.obj", "position": [0, 0, 0], "yaw": 8},
                        {"name": "crate-2", "mesh": "meshes/crate.obj", "position": [1.2, 0, 0.2], "yaw": -4},
                        {"name": "crate-3", "mesh": "meshes/crate.obj", "position": [0.5, 1, 0.1], "yaw": 31},
                        {"name": "barrel-1", "mesh": mesh + "barrel", "position": [2.6, 0, 0.4]},
                        {"name": "barrel-2", "mesh": mesh + "barrel", "position": [2.4, 0, -0.6]},
                    ],
                },
            ] + [
                {"name": "house-%d" % (number + 1), "mesh": mesh + "house", "position": [x, 0, z], "yaw": yaw}
                for number, (x, z, yaw) in enumerate(((-22, -12, 0), (-11, -13, 3), (11, -13, -3), (-26, 0, 90)))
            ],
        },
        {"name": "boat", "mesh": mesh + "boat", "position": [3.2, -1.25, 19], "yaw": 12,
         "sway": {"degrees": 3, "seconds": 4.5}},
    ]
    return {
        "format": "aether-scene/1",
        "world": "harbour",
        "name": "The Harbour",
        "unit": "metre",
        "up": "y",
        "sky": {"texture": "textures/sky.png", "projection": "equirectangular"},
        "ambient": {"colour": [0.95, 0.82, 0.70], "strength": 0.45},
        "sun": {"azimuth": 252, "elevation": 9, "colour": [1.0, 0.86, 0.66], "strength": 1.1},
        "materials": {
            "cobblestone": {"texture": "textures/cobblestone.png", "normal": "textures/cobblestone-normal.png",
                            "roughness": 0.9},
            "water": {"texture": "textures/water.png", "roughness": 0.15},
        },
        "lights": {"beacon": {"colour": [1.0, 0.94, 0.80], "strength": 40, "turns": {"degreesPerSecond": 24}}},
        "zones": {
            "quay": {"low": [-30, -1, -18], "high": [30, 20, 10]},
            "jetty": {"low": [-2, -1, 10], "high": [2, 6, 30]},
            "lighthouse": {"low": [20, -1, 0], "high": [28, 20, 8]},
        },
        "spawns": {"quay": [0, 0, -10], "jetty": [0, 0, 26], "lighthouse": [18, 0, 4]},
        "defaultSpawn": "quay",
        "portals": {
            "harbour-steps": {"position": [0, 1, -14], "radius": 3, "spawn": "quay", "label": "The harbour steps",
                            "sound": "sounds/portal.wav"},
            "lighthouse-door": {"position": [20.6, 1, 4], "radius": 3, "spawn": "lighthouse",
                                "label": "The lighthouse door", "sound": "sounds/portal.wav"},
        },
        "sounds": [
            {"file": "sounds/waves.wav", "loop": True, "position": [0, -1, 16], "radius": 60, "volume": 0.8},
            {"file": "sounds/creak.wav", "loop": False, "every": [9, 25], "position": [3, -1, 19], "radius": 12,
             "volume": 0.5},
            {"file": "sounds/gulls.wav", "loop": False, "every": [12, 40], "position": [6, 14, 12], "radius": 80,
             "volume": 0.6},
            {"file": "sounds/bell.wav", "loop": False, "every": [120, 120], "position": [24, 16, 4], "radius": 120,
             "volume": 0.7},
        ],
        "nodes": nodes,
    }


README = """\
# The Harbour

A small port at evening: a cobbled quay, a jetty with a boat, four houses and a lighthouse. It is the world that
`aether demo` sends a player to, so that there is something real to verify: pictures, sounds, meshes and a scene.

| what | where |
|---|---|
| the scene: nodes, lights, zones, spawn points, portals, sounds | `scene.json` |
| everything that stands there | `meshes/harbour.glb` (glTF 2.0), `meshes/crate.obj` |
| surfaces, all tiling; the sky goes round | `textures/*.png` |
| ambience; `waves.wav` loops | `sounds/*.wav` |

Portals: `harbour-steps` (the way the demo's player comes and goes) and `lighthouse-door` (for you to connect).

Every file was made by `scripts/make-worlds` out of arithmetic; nothing was taken from anywhere. Licence: Apache-2.0,
as the rest of the project.""".split("\n")
