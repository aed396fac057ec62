"""Worlds and their files, as a destination offers them (PROTOCOL.md, "Frames")."""

import hashlib
from collections.abc import Mapping
from typing import Any

CHUNK_BYTES = 65_536


class Library:
    """Files by their hash, and the manifests of worlds made of them."""

    def __init__(self) -> None:
        self._assets: dict[bytes, bytes] = {}
        self._manifests: dict[str, bytes] = {}

    @property
    def worlds(self) -> tuple[str, ...]:
        return tuple(sorted(self._manifests))

    def add(self, world: str, name: str, files: Mapping[str, tuple[str, bytes]]) -> None:
        """Files are (media type, content) by path."""
        entries = ",".join(
            self._entry(path, kind, content)
            for path, (kind, content) in sorted(files.items(), key=lambda item: item[0].encode())
        )
        manifest = f'{{"files":[{entries}],"name":{_text(name)},"version":1,"world":{_text(world)}}}'
        self._manifests[world] = self._keep(manifest.encode())

    def answer_world(self, request: dict[str, Any]) -> dict[str, Any]:
        manifest = self._manifests.get(request["world_id"])
        if manifest is None:
            return {"request": request["request"], "refused": "world.unknown"}
        size = len(self._assets[manifest])
        return {"request": request["request"], "manifest": {"sha256": manifest, "size": size}}

    def answer_asset(self, request: dict[str, Any]) -> dict[str, Any]:
        content = self._assets.get(request["sha256"])
        if content is None:
            return {"request": request["request"], "refused": "asset.unknown"}
        start = request["offset"]
        return {"request": request["request"], "chunk": content[start : start + min(request["length"], CHUNK_BYTES)]}

    def _entry(self, path: str, kind: str, content: bytes) -> str:
        digest = self._keep(content).hex()
        return f'{{"path":{_text(path)},"sha256":"{digest}","size":{len(content)},"type":{_text(kind)}}}'

    def _keep(self, content: bytes) -> bytes:
        digest = hashlib.sha256(content).digest()
        self._assets[digest] = content
        return digest


def _text(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
