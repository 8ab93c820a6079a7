"""The address of a mail server as it is configured."""

import pytest

from daemon.notifications.mail_server import MailServer


@pytest.mark.parametrize(
    ("url", "server", "shown"),
    [
        ("smtp://h", MailServer("h", 25, False), "smtp://h:25"),
        ("smtp://u@h", MailServer("h", 587, False, "u"), "smtp://h:587"),
        ("smtps://u:p%2Fw@h", MailServer("h", 465, True, "u", "p/w"), "smtps://h:465"),
        ("smtp://[::1]:2525", MailServer("::1", 2525, False), "smtp://[::1]:2525"),
    ],
)
def test_a_url_gives_host_port_tls_and_login(url: str, server: MailServer, shown: str) -> None:
    read = MailServer.from_url(url)

    assert read == server
    assert str(read) == shown
    assert "p/w" not in repr(read)


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("localhost", True),
        ("mail.localhost", True),
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("127.1", False),
        ("0.0.0.0", False),
        ("localhost.example.com", False),
        ("mylocalhost", False),
        ("10.0.0.1", False),
    ],
)
def test_only_a_loopback_name_is_this_machine(host: str, expected: bool) -> None:
    assert MailServer(host, 25, tls=False).is_this_machine == expected
