"""Connections to a mail server are secured before a password is sent."""

import ssl
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.support.certificates import Authority
from tests.support.mailserver import mail_host
from tests.support.smtp import EMAIL, PASSWORD, REMOTE, mailer, send, session_error, with_login


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority()


@pytest.fixture
def trusted(authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Authority:
    """Trust the authority in the way that operators do."""
    (tmp_path / "authority.pem").write_text(authority.pem)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "authority.pem"))
    return authority


async def test_a_remote_server_gets_the_login_over_starttls(trusted: Authority) -> None:
    with mail_host(starttls=trusted.server(REMOTE), login=True) as host:
        await send(with_login(host, REMOTE), EMAIL)

    assert host.logins == [(b"hooks@example.com", PASSWORD.encode())]
    assert len(host.mails) == 1


async def test_starttls_is_used_without_a_login_when_it_is_offered(trusted: Authority) -> None:
    with mail_host(starttls=trusted.server(REMOTE)) as host:
        await send(f"smtp://{REMOTE}:{host.port}", EMAIL)

    assert len(host.mails) == 1


async def test_smtps_uses_tls_from_the_first_byte(trusted: Authority) -> None:
    with mail_host(tls=trusted.server("localhost"), login=True) as host:
        await send(with_login(host, "localhost").replace("smtp:", "smtps:"), EMAIL)

    assert len(host.logins) == len(host.mails) == 1


async def test_a_password_is_not_sent_in_the_clear_to_a_remote_server() -> None:
    with mail_host(login=True) as host:
        error = await session_error(with_login(host, REMOTE))

    assert (
        error
        == f"smtp://127.1:{host.port} does not offer STARTTLS, and a password is not sent without"
    )
    assert host.logins == []


async def test_a_password_may_be_sent_in_the_clear_to_this_machine() -> None:
    with mail_host(login=True) as host:
        await send(with_login(host, "127.0.0.1"), EMAIL)

    assert len(host.logins) == len(host.mails) == 1


async def test_this_machine_gets_starttls_only_if_the_login_needs_it(
    trusted: Authority,
) -> None:
    with mail_host(starttls=Authority().server("whatever")) as host:
        await send(f"smtp://localhost:{host.port}", EMAIL)
    with mail_host(starttls=trusted.server("localhost"), login=True) as strict:
        await send(with_login(strict, "localhost"), EMAIL)

    assert len(host.mails) == len(strict.mails) == len(strict.logins) == 1


@pytest.mark.parametrize("scheme", ["smtp", "smtps"])
async def test_a_certificate_of_an_unknown_authority_is_rejected(scheme: str) -> None:
    context = Authority().server(REMOTE)
    serving = mail_host(starttls=context) if scheme == "smtp" else mail_host(tls=context)
    with serving as host:
        error = await session_error(with_login(host, REMOTE).replace("smtp:", f"{scheme}:"))

    assert "its certificate cannot be verified: " in error
    assert "issuer" in error
    assert host.logins == []


async def test_a_certificate_of_another_host_is_rejected(trusted: Authority) -> None:
    with mail_host(starttls=trusted.server("mail.example.com"), login=True) as host:
        error = await session_error(with_login(host, REMOTE))

    assert "Hostname mismatch" in error
    assert host.logins == []


async def test_an_expired_certificate_is_rejected(trusted: Authority) -> None:
    old = trusted.server(REMOTE, until=datetime(2025, 1, 1, tzinfo=UTC))
    with mail_host(starttls=old) as host:
        error = await session_error(f"smtp://{REMOTE}:{host.port}")

    assert "certificate has expired" in error


async def test_a_refused_login_is_reported_without_the_password() -> None:
    with mail_host(login=True) as host:
        error = await session_error(with_login(host, "127.0.0.1", "c4n4ry"))

    assert error == f"smtp://127.0.0.1:{host.port} refuses the login (535)"


def test_the_tls_context_verifies_certificates_and_host_names() -> None:
    context = mailer("smtps://h")._context

    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2
