"""A name server that knows aliases, too: all of a chain in one answer, as a real one gives it."""

import struct
from collections.abc import Mapping, Sequence
from ipaddress import ip_address
from itertools import pairwise

from tests.support.nameserver import A, NameServer, _question_of

CNAME = 5


class AliasingNameServer(NameServer):
    """`aliases` maps a name to those that follow it; `answer` knows the last one's addresses."""

    def __init__(self, aliases: Mapping[str, Sequence[str]]) -> None:
        super().__init__()
        self._aliases = aliases

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        name, kind, question = _question_of(data)
        if name not in self._aliases:
            super().datagram_received(data, addr)
            return
        self.asked.append(name)
        chain = [name, *self._aliases[name]]
        records = [_record(a, CNAME, _encoded(b)) for a, b in pairwise(chain)]
        addresses = self.answer(chain[-1])
        if kind == A and isinstance(addresses, Sequence):
            records += [_record(chain[-1], A, ip_address(each).packed) for each in addresses]
        head = data[:2] + struct.pack(">HHHHH", 0x8180, 1, len(records), 0, 0)
        self._transport.sendto(head + question + b"".join(records), addr)


def _record(owner: str, kind: int, data: bytes) -> bytes:
    return _encoded(owner) + struct.pack(">HHIH", kind, 1, 0, len(data)) + data


def _encoded(name: str) -> bytes:
    return b"".join(bytes([len(label)]) + label.encode() for label in name.split(".")) + b"\x00"
