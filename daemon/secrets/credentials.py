"""Open a webhook's stored secrets and validate the headers that it adds to its requests."""

from daemon.core.errors import SealMismatchError
from daemon.core.model.attempts import Failure, FailureKind
from daemon.core.model.secrets import ClientCertificate, Credentials, StoredSecrets
from daemon.core.policy.headers import judge_headers
from daemon.core.policy.refusal import Refusal
from daemon.secrets.associated_data import secret_associated_data
from daemon.secrets.bound_values import members_to_set_again, open_client_key, open_header
from daemon.secrets.custom_headers import parse_custom_headers
from daemon.secrets.encryption import Vault


def open_credentials(stored: StoredSecrets, vault: Vault) -> Credentials | Failure:
    """
    Return the credentials of a webhook's requests, or the Failure caused by its own settings.

    Raises UnreadableSecretError when a sealed value cannot be opened.
    """
    associated_data = secret_associated_data(stored.webhook_id)
    secret = vault.open(stored.current, associated_data=associated_data)
    if not secret:
        return Failure(FailureKind.UNUSABLE, "the webhook has no secret to sign with")
    previous = stored.previous and vault.open(stored.previous, associated_data=associated_data)
    if stored.custom_headers is None and stored.client_certificate is None:
        return Credentials(secret, previous)
    try:
        headers = _open_headers(stored, vault)
        client = _open_client_certificate(stored, vault)
    except SealMismatchError:
        reasons = members_to_set_again(stored, vault).values()
        return Failure(FailureKind.UNUSABLE, "; ".join(reasons))
    if isinstance(headers, Refusal):
        return Failure(
            FailureKind.UNUSABLE, f"the webhook's own headers cannot be sent: {headers.reason}"
        )
    return Credentials(secret, previous, headers, client)


def _open_headers(stored: StoredSecrets, vault: Vault) -> tuple[tuple[str, str], ...] | Refusal:
    headers = parse_custom_headers(stored.custom_headers or "{}")
    if headers is None:
        return Refusal("they are not a JSON object of texts")
    return judge_headers(
        {
            name: open_header(stored, vault, name=name, value=value)
            for name, value in headers.items()
        }
    )


def _open_client_certificate(stored: StoredSecrets, vault: Vault) -> ClientCertificate | None:
    if stored.client_certificate is None:
        return None
    return ClientCertificate(stored.client_certificate, open_client_key(stored, vault))
