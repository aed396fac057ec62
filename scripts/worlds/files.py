"""File formats: PNG (RFC 2083), WAV (RIFF), binary glTF 2.0 and JSON; and writing or comparing a tree of them."""

import json
import struct
import sys
import zlib


def png(pixels):
    """An 8-bit RGB picture from rows of (r, g, b) with components from 0 to 1."""
    height, width = len(pixels), len(pixels[0])
    previous = bytes(width * 3)
    lines = []
    for row in pixels:
        line = bytes(min(255, max(0, int(value * 255 + 0.5))) for pixel in row for value in pixel)
        lines.append(_filtered(line, previous))
        previous = line
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(b"".join(lines), 9)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )


def _filtered(line, previous):
    """The line under the filter that leaves the smallest differences: left (1), up (2) or average (3)."""
    left = bytes(3) + line[:-3]
    candidates = (
        (1, bytes((a - b) & 255 for a, b in zip(line, left))),
        (2, bytes((a - b) & 255 for a, b in zip(line, previous))),
        (3, bytes((a - (b + c) // 2) & 255 for a, b, c in zip(line, left, previous))),
    )
    kind, data = min(candidates, key=lambda item: sum(min(byte, 256 - byte) for byte in item[1]))
    return bytes([kind]) + data


def wav(samples, rate):
    """A mono 16-bit sound from samples between -1 and 1."""
    data = struct.pack("<%dh" % len(samples), *(int(max(-1.0, min(1.0, s)) * 32767) for s in samples))
    body = b"WAVEfmt " + struct.pack("<IHHIIHH", 16, 1, 1, rate, rate * 2, 2, 16)
    body += b"data" + struct.pack("<I", len(data)) + data
    return b"RIFF" + struct.pack("<I", len(body)) + body


def text(lines):
    return ("\n".join(lines) + "\n").encode()


def document(value):
    return (json.dumps(value, indent=2, ensure_ascii=False) + "\n").encode()


def glb(meshes, materials):
    """Binary glTF: `meshes` maps a name to a list of (material, Surface); `materials` maps a name to its texture's
    path relative to the file, and a roughness. Every mesh is a node of its own, named like it, at the origin."""
    buffer = bytearray()
    views, accessors, nodes, made = [], [], [], []
    names = sorted(materials)

    def accessor(values, kind, component, target, bounds=False):
        while len(buffer) % 4:
            buffer.append(0)
        flat = [number for value in values for number in value] if kind != "SCALAR" else values
        data = struct.pack("<%d%s" % (len(flat), "f" if component == 5126 else "H"), *flat)
        views.append({"buffer": 0, "byteOffset": len(buffer), "byteLength": len(data), "target": target})
        buffer.extend(data)
        entry = {"bufferView": len(views) - 1, "componentType": component, "count": len(values), "type": kind}
        if bounds:
            single = [struct.unpack("<3f", struct.pack("<3f", *value)) for value in values]
            entry["min"] = [min(value[axis] for value in single) for axis in range(3)]
            entry["max"] = [max(value[axis] for value in single) for axis in range(3)]
        accessors.append(entry)
        return len(accessors) - 1

    for name in sorted(meshes):
        primitives = []
        for material, surface in meshes[name]:
            surface.check(name)
            primitives.append({
                "attributes": {
                    "POSITION": accessor(surface.positions, "VEC3", 5126, 34962, bounds=True),
                    "NORMAL": accessor(surface.normals, "VEC3", 5126, 34962),
                    "TEXCOORD_0": accessor(surface.uvs, "VEC2", 5126, 34962),
                },
                "indices": accessor(surface.indices, "SCALAR", 5123, 34963),
                "material": names.index(material),
            })
        made.append({"name": name, "primitives": primitives})
        nodes.append({"name": name, "mesh": len(made) - 1})
    while len(buffer) % 4:
        buffer.append(0)
    images = sorted({texture for texture, _ in materials.values()})
    model = {
        "asset": {"version": "2.0", "generator": "aether-federation scripts/make-worlds"},
        "scene": 0,
        "scenes": [{"nodes": list(range(len(nodes)))}],
        "nodes": nodes,
        "meshes": made,
        "materials": [
            {
                "name": name,
                "pbrMetallicRoughness": {
                    "baseColorTexture": {"index": images.index(materials[name][0])},
                    "metallicFactor": 0,
                    "roughnessFactor": materials[name][1],
                },
            }
            for name in names
        ],
        "textures": [{"sampler": 0, "source": index} for index in range(len(images))],
        "samplers": [{"magFilter": 9729, "minFilter": 9987, "wrapS": 10497, "wrapT": 10497}],
        "images": [{"uri": image} for image in images],
        "buffers": [{"byteLength": len(buffer)}],
        "bufferViews": views,
        "accessors": accessors,
    }
    head = json.dumps(model, separators=(",", ":")).encode()
    head += b" " * (-len(head) % 4)
    length = 12 + 8 + len(head) + 8 + len(buffer)
    return (
        struct.pack("<4sII", b"glTF", 2, length)
        + struct.pack("<I4s", len(head), b"JSON") + head
        + struct.pack("<I4s", len(buffer), b"BIN\0") + bytes(buffer)
    )


def write(root, made):
    for path, data in sorted(made.items()):
        target = root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)
        print("%9d  %s" % (len(data), path))
    print("%9d  bytes in %d files" % (sum(map(len, made.values())), len(made)))
    return 0


def compare(root, made):
    different = [path for path, data in sorted(made.items()) if not _same(root / path, data)]
    for path in different:
        print("%s differs from what is made" % path, file=sys.stderr)
    return 1 if different else 0


def _same(path, data):
    if not path.is_file():
        return False
    there = path.read_bytes()
    return there == data or path.suffix == ".png" and _pixels(there) == _pixels(data)


def _pixels(data):
    place, packed = 8, b""
    while place + 8 <= len(data):
        (length,) = struct.unpack(">I", data[place:place + 4])
        if data[place + 4:place + 8] == b"IDAT":
            packed += data[place + 8:place + 8 + length]
        place += 12 + length
    try:
        return zlib.decompress(packed)
    except zlib.error:
        return None
