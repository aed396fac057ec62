"""Why a channel was closed: the codes of PROTOCOL.md, "Close codes"."""

from enum import IntEnum


class CloseCode(IntEnum):
    GOING_AWAY = 1001
    PROTOCOL_ERROR = 4000
    INCOMPATIBLE_VERSION = 4001
    NO_COMMON_SUITE = 4002
    UNTRUSTED_PEER = 4003
    WRONG_PEER = 4004
    WRONG_KEY = 4005
    INVALID_SIGNATURE = 4006
    REFLECTED = 4007
    HANDSHAKE_TIMEOUT = 4008
    CLOCK_SKEW = 4009
    BAD_RECORD = 4010
    OVERSIZED = 4011
    OVERLOADED = 4012
    DUPLICATE_CHANNEL = 4013
    SUSPENDED = 4014
    TRUST_EXPIRED = 4015
    SILENT = 4016
    INTERNAL_ERROR = 4017


class ChannelFailure(Exception):
    """Something that ends the channel, and the code to close it with."""

    def __init__(self, code: CloseCode, detail: str) -> None:
        super().__init__(f"{code.name.lower()} ({code.value}): {detail}")
        self.code = code


def name_of(code: int | None) -> str:
    """The code's name as PROTOCOL.md writes it, or the number where it is none of ours."""
    if code is None or code not in CloseCode._value2member_map_:
        return str(code)
    first, *others = CloseCode(code).name.lower().split("_")
    return first + "".join(word.capitalize() for word in others)
