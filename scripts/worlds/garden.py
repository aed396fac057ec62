"""The garden: the quiet world in which the demo's player is at home."""

from . import files, sounds, textures
from .meshes import Surface, arch


def make():
    made = {}
    pictures = {
        "grass": textures.grass(256, "garden/grass"),
        "leaves": textures.leaves(256, "garden/leaves"),
        "gravel": textures.gravel(256, "garden/gravel"),
        "brick": textures.brick(256, "garden/brick"),
    }
    for name, pixels in pictures.items():
        made["garden/textures/%s.png" % name] = files.png(pixels)
    for name, sound in (("birds", sounds.birds()), ("fountain", sounds.fountain())):
        made["garden/sounds/%s.wav" % name] = files.wav(sound, sounds.RATE)
    made["garden/meshes/garden.glb"] = files.glb(meshes(), {
        "grass": ("../textures/grass.png", 1.0),
        "leaves": ("../textures/leaves.png", 1.0),
        "gravel": ("../textures/gravel.png", 1.0),
        "brick": ("../textures/brick.png", 0.9),
    })
    made["garden/scene.json"] = files.document(scene())
    made["garden/README.md"] = files.text(README)
    return made


def meshes():
    lawn, paths = Surface(), Surface()
    for x in range(-4, 4):
        for z in range(-4, 4):
            a, b, c, d = x * 4, z * 4, (x + 1) * 4, (z + 1) * 4
            lawn.quad([(a, 0, d), (c, 0, d), (c, 0, b), (a, 0, b)], scale=0.25)
    for a, b, c, d in ((-1.2, -16, 1.2, -3.2), (-1.2, 3.2, 1.2, 16), (-16, -1.2, -3.2, 1.2), (3.2, -1.2, 16, 1.2)):
        paths.quad([(a, 0.02, d), (c, 0.02, d), (c, 0.02, b), (a, 0.02, b)], scale=0.4)
    paths.lathe([(3.4, 0.02), (0, 0.02)], sides=32, turns=8, scale=0.4)

    basin = Surface().lathe([(2.1, 0), (2.1, 0.6), (1.8, 0.6), (1.8, 0.25), (0, 0.25)], sides=28, turns=8)
    basin.lathe([(0.35, 0.25), (0.22, 1.3), (0.9, 1.55), (0.9, 1.65), (0, 1.5)], sides=20, turns=4)

    hedges = Surface()
    for side in (-15.6, 15.0):
        hedges.box((-15.6, 0, side), (-1.9, 1.8, side + 0.6), scale=0.5)
        hedges.box((1.9, 0, side), (15.6, 1.8, side + 0.6), scale=0.5)
        hedges.box((side, 0, -15), (side + 0.6, 1.8, -1.9), scale=0.5)
        hedges.box((side, 0, 1.9), (side + 0.6, 1.8, 15), scale=0.5)
    outline = [(0.25, 0), (0.75, 0.35), (0.85, 0.8), (0.6, 1.25), (0, 1.45)]
    shrub = Surface().lathe(outline, sides=14, turns=3, scale=0.7)
    return {
        "lawn": [("grass", lawn)],
        "paths": [("gravel", paths)],
        "fountain": [("brick", basin)],
        "hedges": [("leaves", hedges)],
        "shrub": [("leaves", shrub)],
        "gate": [("brick", arch(Surface(), 2.4, 3.2, 0.7, 0.45))],
    }


def scene():
    mesh = "meshes/garden.glb#"
    beds = [(x, z) for x in (-9, -6, 6, 9) for z in (-9, -6, 6, 9)]
    return {
        "format": "aether-scene/1",
        "world": "garden",
        "name": "The Garden",
        "unit": "metre",
        "up": "y",
        "sky": {"colour": [0.55, 0.72, 0.90]},
        "ambient": {"colour": [0.90, 0.95, 1.0], "strength": 0.6},
        "sun": {"azimuth": 140, "elevation": 48, "colour": [1.0, 0.97, 0.90], "strength": 1.3},
        "zones": {"lawn": {"low": [-15, -1, -15], "high": [15, 10, 15]}},
        "spawns": {"fountain": [0, 0, 4], "gate": [0, 0, -12]},
        "defaultSpawn": "fountain",
        "portals": {
            "garden-gate": {"position": [0, 1, -15.3], "radius": 3, "spawn": "gate", "label": "The garden gate"},
        },
        "sounds": [
            {"file": "sounds/fountain.wav", "loop": True, "position": [0, 1, 0], "radius": 14, "volume": 0.7},
            {"file": "sounds/birds.wav", "loop": False, "every": [6, 18], "position": [-10, 5, 8], "radius": 40,
             "volume": 0.6},
        ],
        "nodes": [
            {"name": "lawn", "mesh": mesh + "lawn", "children": [
                {"name": "paths", "mesh": mesh + "paths"},
                {"name": "fountain", "mesh": mesh + "fountain"},
                {"name": "hedges", "mesh": mesh + "hedges"},
                {"name": "garden-gate", "mesh": mesh + "gate", "position": [0, 0, -15.3], "portal": "garden-gate"},
            ] + [
                {"name": "shrub-%d" % (number + 1), "mesh": mesh + "shrub", "position": [x, 0, z],
                 "yaw": number * 47 % 360}
                for number, (x, z) in enumerate(beds)
            ]},
        ],
    }


README = """\
# The Garden

A walled lawn with a fountain: the world in which the player of `aether demo` is at home. Its one portal, `garden-gate`,
leads wherever a route says; in the demo, to the harbour.

`scene.json` says what stands where; `meshes/garden.glb` is glTF 2.0; the textures tile; `fountain.wav` loops.

Every file was made by `scripts/make-worlds` out of arithmetic; nothing was taken from anywhere. Licence: Apache-2.0,
as the rest of the project.""".split("\n")
