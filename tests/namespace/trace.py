"""Parse strace's output: every internet address that a process asked the kernel to reach."""

import re

# connect, and the calls that can send without it.
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
    Return every address and port in the output of `strace -f -e trace=…`.

    Raises ValueError for a connect, or an internet address, that it cannot read: an overlooked
    one would count as never reached for.
    """
    found = set()
    for line in text.splitlines():
        addresses = list(ADDRESS.finditer(line))
        if not _is_understood(line, len(addresses)):
            raise ValueError(f"cannot read this line of strace: {line}")
        found |= {(each["address"], int(each["port"])) for each in addresses}
    return found


def is_complete(text: str, pid: int) -> bool:
    """Whether the process was traced to its end."""
    return re.search(rf"^{pid} +\+\+\+ exited", text, re.MULTILINE) is not None


def _is_understood(line: str, addresses: int) -> bool:
    if line.count("sa_family=AF_INET") != addresses:
        return False
    return not CONNECT.match(line) or addresses == 1 or OTHER_FAMILIES.search(line) is not None
