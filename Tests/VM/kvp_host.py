"""The Hyper-V host's end of data exchange (KVP): packets as it sends and gets them (include/uapi/linux/hyperv.h)."""
from __future__ import annotations

import struct
from dataclasses import dataclass

from vss_host import IC_HEADER, PIPE_HEADER, REQUEST_FLAGS, S_OK, Answer, parse

SERVICE = "kvp"
KVP_TYPE = 2
ENUMERATE = 3
# The pool of the guest, which hosts show as GuestExchangeItems.
GUEST_POOL = 1
NO_MORE_ITEMS = 0x80070103
# struct hv_kvp_msg; hosts send it whole.
MESSAGE_SIZE = 7430
# Operation, pool, index; type, size of the key, size of the value, both in UTF-16.
MESSAGE_HEADER = struct.Struct("<BB2xIIII")
KEY_SIZE, VALUE_SIZE = 512, 2048


@dataclass(frozen=True)
class Item:
    key: str
    value: str


def enumeration(index: int, transaction: int, pool: int = GUEST_POOL) -> bytes:
    """Asks for the item of the index."""
    message = MESSAGE_HEADER.pack(ENUMERATE, pool, index, 0, 0, 0).ljust(MESSAGE_SIZE, b"\0")
    header = IC_HEADER.pack(3, 0, KVP_TYPE, 5, 0, len(message), 0, transaction, REQUEST_FLAGS)
    return PIPE_HEADER.pack(1, len(header) + len(message)) + header + message


def item(packet: bytes) -> Item | None:
    """The answer to an enumeration; None after the last item."""
    answer: Answer = parse(packet)
    if answer.status == NO_MORE_ITEMS:
        return None
    if answer.status != S_OK:
        raise ValueError(f"status {answer.status:#x}")
    _, _, _, _, key_size, value_size = MESSAGE_HEADER.unpack_from(answer.body)
    key = answer.body[MESSAGE_HEADER.size:][:key_size]
    value = answer.body[MESSAGE_HEADER.size + KEY_SIZE:][:value_size]
    return Item(*(text.decode("utf-16-le").rstrip("\0") for text in (key, value)))
