"""What the Hyper-V host sends over the channels of the services beside VSS (include/linux/hyperv.h)."""
from __future__ import annotations

import struct
import time

from vss_host import IC_HEADER, PIPE_HEADER, packet, parse

HEARTBEAT_TYPE, KVP_TYPE, SHUTDOWN_TYPE, TIME_SYNC_TYPE, FCOPY_TYPE = 1, 2, 3, 4, 7
NO_MORE_ITEMS = 0x80070103

HEARTBEAT = struct.Struct("<Q32x")
SHUTDOWN = struct.Struct("<III2048x")  # reason, timeout, flags
TIME = struct.Struct("<QQQB")  # the host's time, the guest's time, round trip, flags
TIME_IS_TO_BE_SET = 1
# 100 ns from 1601 to 1970.
EPOCH = 116_444_736_000_000_000

KVP_SET, KVP_ENUMERATE, KVP_STRING = 1, 3, 1
KVP_MESSAGE_SIZE = 7430
KVP_ENTRY = struct.Struct("<III512s2048s")  # type, sizes of key and value, key, value

FCOPY_START, FCOPY_WRITE, FCOPY_COMPLETE = 0, 1, 2
FCOPY_HEADER = struct.Struct("<I32x")
FCOPY_FILE = struct.Struct("<520s520sIQ")  # name, directory, flags, size
FCOPY_OVERWRITE = 1
FCOPY_FRAGMENT_SIZE = 6 * 1024
FCOPY_FRAGMENT = struct.Struct(f"<4xQI{FCOPY_FRAGMENT_SIZE}s")  # offset, size, bytes


def heartbeat(number: int) -> bytes:
    return packet(HEARTBEAT_TYPE, 1, HEARTBEAT.pack(number))


def heartbeat_answer(answer: bytes) -> int:
    return HEARTBEAT.unpack_from(parse(answer).body)[0]


def shutdown() -> bytes:
    return packet(SHUTDOWN_TYPE, 1, SHUTDOWN.pack(0, 0, 0))


def set_time(seconds: float) -> bytes:
    """Has the guest set its clock, as after a restore of the virtual machine."""
    return packet(TIME_SYNC_TYPE, 1, TIME.pack(EPOCH + int(seconds * 10_000_000), 0, 0, TIME_IS_TO_BE_SET))


def set_time_by(offset: float) -> bytes:
    return set_time(time.time() + offset)


def _text(text: str) -> bytes:
    return text.encode("utf-16-le") + b"\0\0"


def kvp_set(pool: int, key: str, value: str) -> bytes:
    name, data = _text(key), _text(value)
    entry = KVP_ENTRY.pack(KVP_STRING, len(name), len(data), name, data)
    return packet(KVP_TYPE, 1, (bytes([KVP_SET, pool, 0, 0]) + entry).ljust(KVP_MESSAGE_SIZE, b"\0"))


def kvp_enumerate(pool: int, index: int) -> bytes:
    body = struct.pack("<BBHI", KVP_ENUMERATE, pool, 0, index)
    return packet(KVP_TYPE, 1, body.ljust(KVP_MESSAGE_SIZE, b"\0"))


def kvp_entry(answer: bytes) -> tuple[str, str]:
    """Key and value that an answer to `kvp_enumerate` holds."""
    _, key_size, value_size, key, value = KVP_ENTRY.unpack_from(answer, PIPE_HEADER.size + IC_HEADER.size + 8)
    return tuple(data[:size].decode("utf-16-le").rstrip("\0") for data, size in ((key, key_size), (value, value_size)))


def _fcopy(operation: int, body: bytes) -> bytes:
    return packet(FCOPY_TYPE, 1, FCOPY_HEADER.pack(operation) + body)


def fcopy_start(directory: str, name: str, size: int) -> bytes:
    return _fcopy(FCOPY_START, FCOPY_FILE.pack(_text(name), _text(directory), FCOPY_OVERWRITE, size))


def fcopy_write(offset: int, data: bytes) -> bytes:
    return _fcopy(FCOPY_WRITE, FCOPY_FRAGMENT.pack(offset, len(data), data))


def fcopy_complete() -> bytes:
    return _fcopy(FCOPY_COMPLETE, b"")
