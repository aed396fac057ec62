"""Binary messages: big-endian numbers and fields with a length in front (PROTOCOL.md, "Conventions")."""

from .closing import ChannelFailure, CloseCode


def field(content: bytes | str) -> bytes:
    """The length as a u16, then the bytes. Text becomes UTF-8."""
    raw = content.encode() if isinstance(content, str) else content
    return len(raw).to_bytes(2, "big") + raw


class Reader:
    """Reads a message from its start; whatever does not fit is a protocol error."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self._offset = 0

    def number(self, width: int, signed: bool = False) -> int:
        return int.from_bytes(self._take(width), "big", signed=signed)

    def field(self, low: int, high: int) -> bytes:
        length = self.number(2)
        if not low <= length <= high:
            raise ChannelFailure(CloseCode.PROTOCOL_ERROR, f"a field of {length} bytes where {low} to {high} are due")
        return self._take(length)

    def end(self) -> None:
        if self._offset != len(self._content):
            raise ChannelFailure(CloseCode.PROTOCOL_ERROR, "bytes after the last field")

    def _take(self, count: int) -> bytes:
        end = self._offset + count
        if end > len(self._content):
            raise ChannelFailure(CloseCode.PROTOCOL_ERROR, "the message ends early")
        taken = self._content[self._offset : end]
        self._offset = end
        return taken
