"""
The namespace's addresses on loopback, names that resolve to them, and the endpoints' URLs.

Each endpoint is identified by its URL.
"""

import socket
from ipaddress import ip_address

PUBLIC_V4 = "93.184.216.34"
PUBLIC_V6 = "2606:2800:220:1::1"
NAME_SERVER = "9.9.9.9"
LAN = "10.0.0.1"
METADATA = "169.254.169.254"

# Loopback has all of these: a connection that the daemon permits is accepted.
FORBIDDEN = (
    "127.0.0.1",
    "127.8.8.8",
    LAN,
    "100.64.0.1",
    "168.63.129.16",
    METADATA,
    "172.16.0.1",
    "192.168.0.1",
    "::1",
    "fd00::1",
    "64:ff9b::a00:1",
    "2002:a00:1::1",
)
# Other addresses, and those to which Linux connects in their place.
DISGUISED = {"0.0.0.0": "127.0.0.1", "::": "::1", "::ffff:10.0.0.1": LAN}
# The addresses above that are permitted when an operator allows 10.0.0.0/8.
IN_THE_LAN = (LAN, "::ffff:10.0.0.1", "64:ff9b::a00:1", "2002:a00:1::1")
UNREACHABLE = ("255.255.255.255", "fe80::1")

DOMAIN = "hooks.example"
SEARCH_DOMAIN = "corp.example"  # which a resolver may append to any name


def name_of(address: str) -> str:
    """Return the name that resolves to this address alone."""
    return f"to-{ip_address(address).packed.hex()}.{DOMAIN}"


MIXED = {
    f"mixed.{DOMAIN}": [PUBLIC_V4, LAN],
    f"mixed-first.{DOMAIN}": [METADATA, PUBLIC_V4],
    f"mixed-families.{DOMAIN}": [PUBLIC_V4, "fd00::1"],
    f"mixed-mapped.{DOMAIN}": [PUBLIC_V4, PUBLIC_V6, "::ffff:10.0.0.1"],
    f"mixed-late.{DOMAIN}": [*(f"93.184.216.{n}" for n in range(100, 120)), "192.168.0.1"],
}
NAMES = {
    f"four.{DOMAIN}": [PUBLIC_V4],
    f"six.{DOMAIN}": [PUBLIC_V6],
    f"moved.{DOMAIN}": [PUBLIC_V4],
    **{name_of(address): [address] for address in (*FORBIDDEN, *DISGUISED, *UNREACHABLE)},
    **MIXED,
    f"intranet.{SEARCH_DOMAIN}": [LAN],
    f"missing.{DOMAIN}.{SEARCH_DOMAIN}": [LAN],
    # Aliases: the names of the chain, then the addresses of the last one.
    f"alias.{DOMAIN}": [f"cdn.{DOMAIN}", f"four.{DOMAIN}", PUBLIC_V4],
    f"alias-inside.{DOMAIN}": [f"cdn.{DOMAIN}", f"intranet.{SEARCH_DOMAIN}", LAN],
}
MACHINE = socket.gethostname()
HOSTS_FILE = f"127.0.0.1 localhost\n{LAN} hosted.{DOMAIN}\n"

DELIVERED = [
    f"https://four.{DOMAIN}/",
    f"https://FOUR.{DOMAIN}./final-dot",
    f"https://six.{DOMAIN}/",
    f"https://alias.{DOMAIN}/",
]

FORBIDDEN_BY_ADDRESS = [
    *(f"https://{name_of(address)}/" for address in (*FORBIDDEN, *DISGUISED, *UNREACHABLE)),
    *(f"https://{name}/" for name in MIXED),
    f"https://{name_of(LAN)}:8443/",
    f"https://alias-inside.{DOMAIN}/",
]
MISSING = f"https://missing.{DOMAIN}/"  # a name that does not exist

# Refused for the URL itself, before any lookup.
FORBIDDEN_BY_URL = [
    "https://0x7f.1/",
    "https://2130706433/",
    "https://127.1/",
    "https://127.0.0.1./",
    "https://017700000001/",
    "https://0177.0.0.1/",
    "https://[::1]/",
    "https://[::]/",
    "https://[::ffff:127.0.0.1]/",
    "https://[::ffff:a00:1]/",
    "https://[64:ff9b::a00:1]/",
    "https://[fd00::1]/",
    "https://[fe80::1%25lo]/",
    "https://127.0.0.1/",
    "https://10.0.0.1/",
    "https://10.0.0.1:8443/",
    "https://169.254.169.254/latest/meta-data",
    "https://192.168.0.1/",
    "https://0.0.0.0/",
    f"https://hosted.{DOMAIN}/",
    f"https://HOSTED.{DOMAIN}./",
    "https://intranet/",
    f"https://{MACHINE}/",
    f"https://{MACHINE}.{SEARCH_DOMAIN}/",
    "https://metadata.google.internal/",
    "https://four.hooks.test/",
    "https://kubernetes.default.svc/",
    f"https://four.{DOMAIN}/#fragment",
    "https://localhost/",
    "https://ends.in.localhost/",
    "https://%31%30.0.0.1/",
    "https://\uff11\uff10.0.0.1/",
    "https://10\u30020\u30020\u30021/",
    f"https://four.{DOMAIN}@10.0.0.1/",
    f"https://10.0.0.1\\@four.{DOMAIN}/",
    "http://10.0.0.1/",
    f"http://four.{DOMAIN}/",
    f"https://four.{DOMAIN}:80/",
]

REDIRECT_LOCATIONS = (
    "https://169.254.169.254/latest/meta-data",
    "http://10.0.0.1/",
    f"https://{name_of('192.168.0.1')}/",
)
REDIRECTS = {
    f"https://moved.{DOMAIN}/{status}/{number}": (status, location)
    for status in (301, 302, 303, 307, 308)
    for number, location in enumerate(REDIRECT_LOCATIONS)
}

REBINDING = (
    f"https://rebinding.{DOMAIN}/"  # resolves to a forbidden address after its first request
)
FLAPPING = f"https://flapping.{DOMAIN}/"  # resolves to a forbidden address at every other lookup
FLAPPING_EVENTS = 10

ENDPOINTS = [
    *(*DELIVERED, *FORBIDDEN_BY_ADDRESS, MISSING, *FORBIDDEN_BY_URL),
    *(*REDIRECTS, REBINDING, FLAPPING),
]
