"""
Name lookups through c-ares, which needs no threads.

A customer's name is looked up exactly as it is written, and by DNS alone.
"""

from collections.abc import Sequence
from contextlib import suppress
from typing import Protocol

import aiodns
from pycares import AddrInfoResult

from daemon.core.errors import PostponedError
from daemon.core.policy.names import is_listed, normal_name
from daemon.egress.dns_channel import DnsChannel
from daemon.egress.long_replies import MAX_ADDRESSES, REPLY_SECONDS, LongReplies

# c-ares waits at least 0.25 s for a first reply and twice as long each time: 3.75 s in all.
LOOKUP_TRIES = 4
# ares.h. Replies are read as far as they fit into one UDP message, for which EDNS announces 1,232
# bytes: 75 IPv4 or 43 IPv6 addresses.
ARES_FLAG_IGNTC = 1 << 2
ARES_FLAG_EDNS = 1 << 8
# Replies that are kept for a moment: of 1,232 bytes, which take 100 KB at most, and of 64 KiB.
MOST_KEPT, MOST_LONG_KEPT = 64, 1
# A name that ends in it is absolute: c-ares applies neither the search list nor HOSTALIASES, and
# finds it in the hosts file only if it ends in a dot there too; the egress policy refuses those.
# (c-ares's option `lookups` is of no use: pycares passes freed memory, and some lookups then fail.)
ROOT = "."

NO_ADDRESS = frozenset({aiodns.error.ARES_ENOTFOUND, aiodns.error.ARES_ENODATA})


class LookupFailedError(Exception):
    """The host name has no address; `str()` is the resolver's reason."""


class NoPublicAddressError(LookupFailedError):
    """
    The host name does not exist, or has no address, or one that may not be connected to.

    These are one error on purpose: a customer must not learn which names exist in private networks.
    """


class NameLookup(Protocol):
    """Turns a host name into addresses in the form that `socket` prints."""

    async def addresses(self, host: str) -> list[str]:
        """
        Return every IPv4 and IPv6 address of `host`.

        Raises LookupFailedError: NoPublicAddressError when there is none.
        """


class Resolver(NameLookup, Protocol):
    """A source of lookups that is closed in the end."""

    async def close(self) -> None:
        """Stop all lookups."""


class CaresResolver:
    """
    Lookups at the system's name servers, or at `nameservers`, given as `address:port`.

    A name that is an alias of one in `denied` (`egress.deny_hosts`) counts as not existing.
    `for_operator` is for names that the operator has configured: they may also be in the hosts
    file, or relative to the search list of resolv.conf.
    """

    def __init__(
        self,
        nameservers: Sequence[str] | None = None,
        *,
        denied: frozenset[str] = frozenset(),
        for_operator: bool = False,
    ) -> None:
        self._denied = denied
        self._suffix = "" if for_operator else ROOT
        self._over_udp = DnsChannel(
            nameservers,
            most_kept=MOST_KEPT,
            tries=LOOKUP_TRIES,
            flags=ARES_FLAG_EDNS | ARES_FLAG_IGNTC,
        )
        self._over_tcp = DnsChannel(
            nameservers, most_kept=MOST_LONG_KEPT, tries=1, timeout=REPLY_SECONDS
        )
        self._long_replies = LongReplies(self._over_tcp.look_up)

    async def addresses(self, host: str) -> list[str]:
        """
        Return the IPv4 and IPv6 addresses of `host`, at most MAX_ADDRESSES.

        Raises LookupFailedError (NoPublicAddressError when there is none), or PostponedError when
        no name server can be reached.
        """
        try:
            found = await self._found(host + self._suffix)
        except aiodns.error.DNSError as error:
            if error.args[0] == aiodns.error.ARES_ECONNREFUSED:
                raise PostponedError("our own name servers cannot be reached") from error
            if error.args[0] in NO_ADDRESS:
                raise NoPublicAddressError from error
            reason = error.args[1] if len(error.args) > 1 else "no reply"
            raise LookupFailedError(str(reason)) from error
        if len(found.nodes) > MAX_ADDRESSES:
            raise LookupFailedError("it has too many addresses")
        if any(is_listed(normal_name(each.name), self._denied) for each in found.cnames):
            raise NoPublicAddressError
        return list(dict.fromkeys(_text(node.addr[0]) for node in found.nodes))

    async def close(self) -> None:
        """Stop all lookups."""
        await self._over_udp.close()
        await self._over_tcp.close()

    async def _found(self, name: str) -> AddrInfoResult:
        try:
            return await self._over_udp.look_up(name)
        except aiodns.error.DNSError as error:
            if error.args[0] != aiodns.error.ARES_ENODATA:
                raise
            # There is none, or so many that the name server left out all of them.
            with suppress(aiodns.error.DNSError):
                return await self._long_replies.look_up(name)
            raise


def _text(address: bytes | str) -> str:
    return address.decode("ascii") if isinstance(address, bytes) else address
