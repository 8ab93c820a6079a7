"""
Who is there inside: addresses on loopback, names that lead to them, endpoints made of both.

A URL stands for its endpoint everywhere here: no two endpoints have the same.
"""

from ipaddress import ip_address

PUBLIC_FOUR = "93.184.216.34"
PUBLIC_SIX = "2606:2800:220:1::1"
NAME_SERVER = "9.9.9.9"
LAN = "10.0.0.1"
METADATA = "169.254.169.254"

# Loopback has all of these: whoever is let through arrives.
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
# What Linux makes of these, for who is let through.
DISGUISED = {"0.0.0.0": "127.0.0.1", "::": "::1", "::ffff:10.0.0.1": LAN}
# What an operator who allows 10.0.0.0/8 has opened.
IN_THE_LAN = (LAN, "::ffff:10.0.0.1", "64:ff9b::a00:1", "2002:a00:1::1")
NOWHERE = ("255.255.255.255", "fe80::1")

DOMAIN = "hooks.test"
SEARCHED = "corp.test"  # where the resolver looks for a name without a dot


def name_of(address: str) -> str:
    """The name that leads to this address alone."""
    return f"to-{ip_address(address).packed.hex()}.{DOMAIN}"


MIXED = {
    f"mixed.{DOMAIN}": [PUBLIC_FOUR, LAN],
    f"mixed-first.{DOMAIN}": [METADATA, PUBLIC_FOUR],
    f"mixed-families.{DOMAIN}": [PUBLIC_FOUR, "fd00::1"],
    f"mixed-mapped.{DOMAIN}": [PUBLIC_FOUR, PUBLIC_SIX, "::ffff:10.0.0.1"],
    f"mixed-late.{DOMAIN}": [*(f"93.184.216.{n}" for n in range(100, 120)), "192.168.0.1"],
}
NAMES = {
    f"four.{DOMAIN}": [PUBLIC_FOUR],
    f"six.{DOMAIN}": [PUBLIC_SIX],
    f"moved.{DOMAIN}": [PUBLIC_FOUR],
    **{name_of(address): [address] for address in (*FORBIDDEN, *DISGUISED, *NOWHERE)},
    **MIXED,
    f"intranet.{SEARCHED}": [LAN],
}
ALIASES = {
    f"alias.{DOMAIN}": (f"cdn.{DOMAIN}", f"four.{DOMAIN}"),
    f"alias-inside.{DOMAIN}": (f"cdn.{DOMAIN}", f"intranet.{SEARCHED}"),
}
HOSTS_FILE = f"127.0.0.1 localhost\n{LAN} hosted.{DOMAIN}\n"

DELIVERED = [f"https://four.{DOMAIN}/", f"https://six.{DOMAIN}/", f"https://alias.{DOMAIN}/"]

LEADING_INSIDE = [
    *(f"https://{name_of(address)}/" for address in (*FORBIDDEN, *DISGUISED, *NOWHERE)),
    *(f"https://{name}/" for name in MIXED),
    f"https://{name_of(LAN)}:8443/",
    f"https://alias-inside.{DOMAIN}/",
    f"https://hosted.{DOMAIN}/",
    "https://intranet/",
]

# Refused for what they say, before any name is looked up.
SPELLED = [
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

TEMPTING = (
    "https://169.254.169.254/latest/meta-data",
    "http://10.0.0.1/",
    f"https://{name_of('192.168.0.1')}/",
)
REDIRECTS = {
    f"https://moved.{DOMAIN}/{status}/{number}": (status, location)
    for status in (301, 302, 303, 307, 308)
    for number, location in enumerate(TEMPTING)
}

REBINDING = f"https://rebinding.{DOMAIN}/"  # leads elsewhere as soon as somebody came
FLAPPING = f"https://flapping.{DOMAIN}/"  # leads elsewhere every other time
FLAPPING_EVENTS = 10

ENDPOINTS = [*(*DELIVERED, *LEADING_INSIDE, *SPELLED, *REDIRECTS, REBINDING, FLAPPING)]
