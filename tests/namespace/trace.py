"""What strace saw: every internet address that a process named to the kernel to reach it."""

import re

# connect, and what can send without it.
CALLS = ("connect", "sendto", "sendmsg", "sendmmsg")
CONNECT = re.compile(r"\d+ +connect\(")
OTHER_FAMILIES = re.compile(r"\{sa_family=AF_(?:UNIX|NETLINK|UNSPEC)\b")
ADDRESS = re.compile(
    r"\{sa_family=AF_INET6?, sin6?_port=htons\((?P<port>\d+)\), "
    r"(?:sin_addr=inet_addr\(|sin6_flowinfo=htonl\(\d+\), inet_pton\(AF_INET6, )"
    r'"(?P<address>[0-9a-f.:]+)"'
)


def reached_for(text: str) -> set[tuple[str, int]]:
    """
    Every address and port in the output of `strace -f -e trace=…`.

    Raises ValueError for a connect, or an internet address, that it cannot read: what is
    overlooked would count as never done.
    """
    found = set()
    for line in text.splitlines():
        addresses = list(ADDRESS.finditer(line))
        if not _understood(line, len(addresses)):
            raise ValueError(f"strace says what we cannot read: {line}")
        found |= {(each["address"], int(each["port"])) for each in addresses}
    return found


def whole(text: str, pid: int) -> bool:
    """Whether it was watched to its end."""
    return re.search(rf"^{pid} +\+\+\+ exited", text, re.MULTILINE) is not None


def _understood(line: str, addresses: int) -> bool:
    if line.count("sa_family=AF_INET") != addresses:
        return False
    return not CONNECT.match(line) or addresses == 1 or OTHER_FAMILIES.search(line) is not None
