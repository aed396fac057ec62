"""As much of protobuf (proto3, wire format) as the frames need, driven by the tables of `frames`."""

from dataclasses import dataclass
from typing import Any

from .closing import ChannelFailure, CloseCode

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5


@dataclass(frozen=True)
class Field:
    number: int
    name: str
    # "uint", "int" (two's complement), "sint" (zigzag), "bytes", "text", or the message's own fields.
    kind: str | tuple["Field", ...]
    # Of a oneof: written though it be empty, and the last one read stands alone.
    choice: bool = False


def encode(fields: tuple[Field, ...], values: dict[str, Any]) -> bytes:
    """Fields without a value, and those with proto3's default outside a oneof, are left out."""
    output = bytearray()
    for field in fields:
        value = values.get(field.name)
        if value is None or (not value and not field.choice):
            continue
        raw = _raw(field, value)
        if isinstance(raw, int):
            output += _varint(field.number << 3 | VARINT) + _varint(raw)
        else:
            output += _varint(field.number << 3 | BYTES) + _varint(len(raw)) + raw
    return bytes(output)


def decode(fields: tuple[Field, ...], content: bytes) -> dict[str, Any]:
    """Every field of the table that is no part of a oneof is in the result, by default as 0, b"" or ""."""
    defaults = {"uint": 0, "int": 0, "sint": 0, "bytes": b"", "text": ""}
    result = {field.name: defaults[field.kind] for field in fields if not field.choice}
    known = {field.number: field for field in fields}
    offset = 0
    while offset < len(content):
        tag, offset = _read_varint(content, offset)
        raw, offset = _read_raw(content, offset, tag & 7)
        field = known.get(tag >> 3)
        if tag >> 3 == 0:
            raise _malformed("a field with number 0")
        if field is None:
            continue
        if (tag & 7) != (VARINT if field.kind in ("uint", "int", "sint") else BYTES):
            raise _malformed(f"'{field.name}' in another wire type")
        if field.choice:
            for other in fields:
                if other.choice:
                    result.pop(other.name, None)
        result[field.name] = _value(field, raw)
    return result


def _raw(field: Field, value: Any) -> int | bytes:
    match field.kind:
        case "uint" | "int":
            return value & (2**64 - 1)
        case "sint":
            return (value << 1 ^ value >> 63) & (2**64 - 1)
        case "bytes":
            return value
        case "text":
            return value.encode()
        case nested:
            return encode(nested, value)


def _value(field: Field, raw: int | bytes) -> Any:
    match field.kind:
        case "uint":
            return raw
        case "int":
            return raw - 2**64 if raw >= 2**63 else raw
        case "sint":
            return raw >> 1 ^ -(raw & 1)
        case "bytes":
            return raw
        case "text":
            try:
                return raw.decode()
            except UnicodeDecodeError as error:
                raise _malformed("text that is not UTF-8") from error
        case nested:
            return decode(nested, raw)


def _varint(value: int) -> bytes:
    output = bytearray()
    while value > 0x7F:
        output.append(value & 0x7F | 0x80)
        value >>= 7
    output.append(value)
    return bytes(output)


def _read_varint(content: bytes, offset: int) -> tuple[int, int]:
    value = 0
    for position in range(10):
        if offset + position >= len(content):
            break
        byte = content[offset + position]
        value |= (byte & 0x7F) << 7 * position
        if byte < 0x80:
            return value & (2**64 - 1), offset + position + 1
    raise _malformed("a number that does not end")


def _read_raw(content: bytes, offset: int, wire_type: int) -> tuple[Any, int]:
    if wire_type == VARINT:
        return _read_varint(content, offset)
    if wire_type == BYTES:
        length, offset = _read_varint(content, offset)
    elif wire_type in (FIXED32, FIXED64):
        length = 4 if wire_type == FIXED32 else 8
    else:
        raise _malformed("an unknown wire type")
    if offset + length > len(content):
        raise _malformed("a field that ends early")
    return content[offset : offset + length], offset + length


def _malformed(detail: str) -> ChannelFailure:
    return ChannelFailure(CloseCode.PROTOCOL_ERROR, f"a frame with {detail}")
