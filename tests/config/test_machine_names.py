"""The names of this machine and of its hosts file."""

import socket
from pathlib import Path

import pytest

from daemon.config.machine_names import machine_names

HOSTS = """\
# 10.9.9.9 commented.example
127.0.0.1\tlocalhost
10.0.0.1  DB.prod.example.com. db   # the main database

::1 ip6-localhost
10.0.0.2 b\xc3\x28d.example
192.0.2.1
"""


@pytest.fixture(autouse=True)
def host_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "gethostname", lambda: "Worker-3")


def names(folder: Path, *, hosts: str = "", resolver: str = "") -> set[str]:
    (folder / "hosts").write_bytes(hosts.encode("latin-1"))
    (folder / "resolv.conf").write_text(resolver)
    return set(machine_names(folder / "hosts", folder / "resolv.conf"))


def test_every_name_of_the_hosts_file_is_found(tmp_path: Path) -> None:
    found = names(tmp_path, hosts=HOSTS)

    assert found >= {"localhost", "db.prod.example.com", "db", "ip6-localhost", "worker-3"}
    assert not {"commented.example", "the", "database", "10.0.0.1", "192.0.2.1"} & found


@pytest.mark.parametrize(
    ("resolver", "own"),
    [
        ("nameserver 192.0.2.1\n", set()),
        ("search corp.example other.example\n", {"worker-3.corp.example"}),
        ("domain Corp.Example.\n", {"worker-3.corp.example"}),
        (
            "; search no.example\n# search no.example\nsearch corp.example\n",
            {"worker-3.corp.example"},
        ),
        ("domain no.example\nsearch corp.example\n", {"worker-3.corp.example"}),
        ("search\n", set()),
    ],
)
def test_the_host_name_is_found_alone_and_in_the_local_domain(
    tmp_path: Path, resolver: str, own: set[str]
) -> None:
    assert names(tmp_path, resolver=resolver) == {"worker-3"} | own


def test_a_machine_without_these_files_has_its_host_name(tmp_path: Path) -> None:
    assert machine_names(tmp_path / "none", tmp_path / "none") == {"worker-3"}
