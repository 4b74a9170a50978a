"""Packets between host and plugin: JSON over a Unix socket, tensors in sealed memory that both see.

A packet is four bytes with the length of its head, the head, the body. The head holds what the packet is (`kind`), the length of
its `body`, and of each of its `tensors` dtype, shape and offset in a memory file whose descriptor comes along.
"""

import fcntl
import json
import math
import mmap
import os
import socket
import struct

import numpy as np

DTYPES = {"u8": np.uint8, "i32": np.int32, "i64": np.int64, "f32": np.float32, "f64": np.float64}
NAMES = {np.dtype(dtype): name for name, dtype in DTYPES.items()}
ALIGNMENT = 64
SEALS = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SEAL


NOTHING = object()
"""A packet without a value."""


class Gone(Exception):
    """The other side is no more."""


class Wire:
    """One end of the line."""

    def __init__(self, connection):
        self._socket = connection

    def send(self, kind, value=NOTHING, tensors=()):
        """Sends a packet with a value that may be said in JSON and the arrays it refers to by number."""
        body = b"" if value is NOTHING else json.dumps(value, allow_nan=False).encode()
        parts, memory = _shared([np.asarray(tensor) for tensor in tensors])
        head = json.dumps({"kind": kind, "body": len(body), "tensors": parts}).encode()
        try:
            first = struct.pack("=I", len(head))
            if memory is None:
                self._socket.sendall(first)
            else:
                sent = socket.send_fds(self._socket, [first], [memory])
                self._socket.sendall(first[sent:])
            self._socket.sendall(head)
            self._socket.sendall(body)
        except (BrokenPipeError, ConnectionResetError) as error:
            raise Gone from error
        finally:
            if memory is not None:
                os.close(memory)

    def receive(self):
        """Waits for a packet: its kind, its body's value (None if there is none), its arrays, which are read-only."""
        first, files = b"", []
        while len(first) < 4:
            some, more, _, _ = socket.recv_fds(self._socket, 4 - len(first), 1)
            if not some:
                raise Gone
            first, files = first + some, files + list(more)
        head = json.loads(self._exactly(struct.unpack("=I", first)[0]))
        body = self._exactly(head["body"])
        tensors = _seen(head["tensors"], files)
        return head["kind"], json.loads(body) if body else None, tensors

    def _exactly(self, length):
        received = bytearray()
        while len(received) < length:
            some = self._socket.recv(min(length - len(received), 1 << 20))
            if not some:
                raise Gone
            received += some
        return bytes(received)


def _shared(tensors):
    if not tensors:
        return [], None
    memory = os.memfd_create("tensors", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    parts, end = [], 0
    with os.fdopen(os.dup(memory), "wb") as file:
        for tensor in tensors:
            if tensor.dtype not in NAMES:
                os.close(memory)
                raise TypeError(f"an array of {tensor.dtype} cannot be sent; convert it to one of {', '.join(DTYPES)}")
            padding = -end % ALIGNMENT
            file.write(bytes(padding))
            file.write(np.ascontiguousarray(tensor).data if tensor.size else b"")
            parts.append({"dtype": NAMES[tensor.dtype], "shape": list(tensor.shape), "offset": end + padding})
            end += padding + tensor.nbytes
    fcntl.fcntl(memory, fcntl.F_ADD_SEALS, SEALS)
    return parts, memory


def _seen(parts, files):
    if not parts:
        for file in files:
            os.close(file)
        return []
    size = os.fstat(files[0]).st_size
    memory = mmap.mmap(files[0], size, prot=mmap.PROT_READ) if size else b""
    for file in files:
        os.close(file)
    arrays = []
    for part in parts:
        count = math.prod(part["shape"])
        array = np.frombuffer(memory, DTYPES[part["dtype"]], count, part["offset"]) if count else np.empty(0, DTYPES[part["dtype"]])
        arrays.append(array.reshape(part["shape"]))
    return arrays
