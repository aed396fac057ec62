"""Records: an AEAD with counters that are never sent (PROTOCOL.md, "Records")."""

from cryptography.exceptions import InvalidTag

from .closing import ChannelFailure, CloseCode
from .keys import DirectionKey
from .suites import Suite

FRAME = b"\x00"
KEY_CHANGE = b"\x01"
FRAME_BYTES = 1_114_112
RECORD_BYTES = FRAME_BYTES + 1 + 16
FRAMES_PER_KEY = 2**20


class Direction:
    """One direction's key and counter, at either end."""

    def __init__(self, suite: Suite, key: DirectionKey) -> None:
        self._suite = suite
        self._use(key)

    def _use(self, key: DirectionKey) -> None:
        self._key = key
        self._aead = self._suite.aead(key.key)
        self.counter = 0

    def _nonce(self) -> bytes:
        tail = int.from_bytes(self._key.iv[4:], "big") ^ self.counter
        return self._key.iv[:4] + tail.to_bytes(8, "big")


class Sealer(Direction):
    def frame(self, content: bytes) -> list[bytes]:
        """The records that carry one frame: two where the key is due to change first."""
        records = [self.key_change()] if self.counter == FRAMES_PER_KEY else []
        return [*records, self.seal(FRAME + content)]

    def key_change(self) -> bytes:
        record = self.seal(KEY_CHANGE)
        self._use(self._key.changed())
        return record

    def seal(self, plaintext: bytes) -> bytes:
        record = self._aead.encrypt(self._nonce(), plaintext, None)
        self.counter += 1
        return record


class Opener(Direction):
    def open(self, record: bytes) -> bytes | None:
        """The frame, or nothing where the record changes the key."""
        if len(record) > RECORD_BYTES:
            raise ChannelFailure(CloseCode.OVERSIZED, f"a record of {len(record)} bytes")
        try:
            plaintext = self._aead.decrypt(self._nonce(), record, None)
        except InvalidTag as error:
            raise ChannelFailure(CloseCode.BAD_RECORD, "a record that does not open") from error
        if plaintext == KEY_CHANGE:
            if self.counter == 0:
                raise ChannelFailure(CloseCode.PROTOCOL_ERROR, "a key is changed that has protected nothing")
            self._use(self._key.changed())
            return None
        if plaintext[:1] != FRAME or self.counter == FRAMES_PER_KEY:
            raise ChannelFailure(CloseCode.PROTOCOL_ERROR, "a record that is neither a frame nor a change of key")
        self.counter += 1
        return plaintext[1:]
