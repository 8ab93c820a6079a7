"""
TLS failures of connections to PostgreSQL, in sentences for the operator.

An SSLError is an OSError whose number is OpenSSL's: read as a system's error it would be nonsense.
"""

import ssl

# X509_V_ERR_… of OpenSSL's x509_vfy.h.
EXPIRED, NOT_YET_VALID = 10, 9
WRONG_NAME = {62, 64}  # host name, IP address
UNKNOWN_AUTHORITY = {18, 19, 20, 21}  # self-signed, or no certificate of the issuer


def describe_tls(error: ssl.SSLError) -> str:
    """The reason in one sentence without an address."""
    if not isinstance(error, ssl.SSLCertVerificationError):
        reason = (error.reason or "no reason given").replace("_", " ").lower()
        return f"its TLS handshake failed: {reason}"
    match error.verify_code:
        case code if code in WRONG_NAME:
            return "its TLS certificate is for another host than the one in database.url"
        case code if code in UNKNOWN_AUTHORITY:
            return (
                "its TLS certificate is signed by an authority that is not trusted:"
                " set sslrootcert in database.url"
            )
        case code if code == EXPIRED:
            return "its TLS certificate has expired"
        case code if code == NOT_YET_VALID:
            return "its TLS certificate is not valid yet"
        case _:
            return f"its TLS certificate is not accepted: {error.verify_message}"
