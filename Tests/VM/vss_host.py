"""The Hyper-V host's end of the channels: packets as it sends and gets them (include/linux/hyperv.h)."""
from __future__ import annotations

import struct
from dataclasses import dataclass

HOT_BACKUP, GET_DM_INFO, FREEZE, THAW = 2, 3, 5, 6
S_OK, E_FAIL = 0, 0x80004005

NEGOTIATE_TYPE, VSS_TYPE = 0, 5
REQUEST_FLAGS, RESPONSE_FLAG = 1 | 2, 4  # transaction and request; response
PIPE_HEADER = struct.Struct("<II")  # flags, size
IC_HEADER = struct.Struct("<HHHHHHIBB2x")  # frame version, type, message version, size, status, transaction, flags
VSS_MESSAGE = struct.Struct("<B7xI")  # operation, flags


@dataclass(frozen=True)
class Answer:
    """What the guest's driver sent back."""

    status: int
    transaction: int
    message_type: int
    body: bytes

    @property
    def is_success(self) -> bool:
        return self.status == S_OK


def request(operation: int, transaction: int) -> bytes:
    return packet(VSS_TYPE, transaction, VSS_MESSAGE.pack(operation, 0))


def negotiation(transaction: int) -> bytes:
    """Offers what Windows Server offers: framework 1.0 and 3.0, VSS 1.0 to 5.0."""
    versions = [(1, 0), (3, 0), (1, 0), (3, 0), (4, 0), (5, 0)]
    body = struct.pack("<HHI", 2, 4, 0) + b"".join(struct.pack("<HH", *version) for version in versions)
    return packet(NEGOTIATE_TYPE, transaction, body)


def packet(message_type: int, transaction: int, body: bytes) -> bytes:
    header = IC_HEADER.pack(3, 0, message_type, 5, 0, len(body), 0, transaction, REQUEST_FLAGS)
    return PIPE_HEADER.pack(1, len(header) + len(body)) + header + body


def parse(packet: bytes) -> Answer:
    _, _, message_type, _, _, _, status, transaction, flags = IC_HEADER.unpack_from(packet, PIPE_HEADER.size)
    if not flags & RESPONSE_FLAG:
        raise ValueError(f"no response: {packet.hex()}")
    return Answer(status, transaction, message_type, packet[PIPE_HEADER.size + IC_HEADER.size:])
