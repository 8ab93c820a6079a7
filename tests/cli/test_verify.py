"""`webhookd verify`: signatures checked offline."""

from base64 import b64encode
from pathlib import Path

import pytest

from daemon.cli.verify import signature_problem, standard_problem
from daemon.core.wire import signing
from tests.support.commandline import CANARY, webhookd

BODY = b'{"id":"evt_1","type":"email.opened","created_at":"2025-11-25T14:30:00Z","data":{}}'


async def test_a_good_signature_is_valid(tmp_path: Path) -> None:
    ended = await webhookd(
        *("verify", "--secret", CANARY, "--signature", signing.sign(BODY, CANARY)),
        folder=tmp_path,
        stdin=BODY,
    )

    assert (ended.code, ended.out, ended.err) == (0, "valid\n", "")


@pytest.mark.parametrize(
    ("body", "signature", "reason"),
    [
        (BODY, signing.sign(BODY, "another"), "not the signature of this body"),
        (BODY + b"\n", signing.sign(BODY, CANARY), "newline that was not sent"),
        (b"", signing.sign(BODY, CANARY), "the body on stdin is empty"),
        (BODY, signing.sign(BODY, CANARY)[7:], "sha256=<64"),
    ],
    ids=["another secret", "a newline more", "no body", "no prefix"],
)
def test_an_invalid_signature_comes_with_its_reason(
    body: bytes, signature: str, reason: str
) -> None:
    problem = signature_problem(body, signature, CANARY)

    assert reason in (problem or "")


async def test_an_invalid_signature_exits_with_1(tmp_path: Path) -> None:
    ended = await webhookd(
        *("verify", "--signature", signing.sign(BODY, "another")),
        folder=tmp_path,
        env={"WEBHOOK_SECRET": CANARY},
        stdin=BODY,
    )

    assert (ended.code, ended.err) == (1, "")
    assert ended.out.startswith("INVALID: ")
    assert CANARY not in ended.out


ID, SENT_AT = "evt_1", 1_764_081_000
KEY = b"0123456789abcdef0123456789abcdef"
STANDARD_SECRET = f"whsec_{b64encode(KEY).decode()}"
GOOD = signing.standard_signature(KEY, ID, SENT_AT, BODY)
OTHER = signing.standard_signature(b"another key", ID, SENT_AT, BODY)


async def verify_standard(folder: Path, *options: str, stdin: bytes = BODY) -> tuple[int, str, str]:
    ended = await webhookd(
        *("verify", *options), folder=folder, env={"WEBHOOK_SECRET": STANDARD_SECRET}, stdin=stdin
    )
    return ended.code, ended.out.strip(), ended.err


async def test_a_standard_webhooks_signature_is_valid_at_any_age(tmp_path: Path) -> None:
    """And one of several is enough, as receivers get them during a rotation."""
    headers = ("--id", ID, "--timestamp", str(SENT_AT))

    valid = await verify_standard(tmp_path, "--signature", f"{OTHER} {GOOD}", *headers)
    too_old = await verify_standard(tmp_path, "--signature", GOOD, *headers, "--tolerance", "5m")

    assert valid == (0, "valid", "")
    assert too_old == (1, "INVALID: the timestamp is older than --tolerance allows", "")


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (["--signature", GOOD], "webhook-id and webhook-timestamp"),
        (["--signature", GOOD, "--id", ID], "webhook-id and webhook-timestamp"),
        (["--signature", signing.sign(BODY, "x"), "--id", ID], "belong to a signature v1,"),
        (
            ["--signature", GOOD, "--id", ID, "--timestamp", "1", "--tolerance", "soon"],
            "--tolerance: must be a duration",
        ),
    ],
)
async def test_options_that_do_not_fit_the_signature_are_usage_errors(
    tmp_path: Path, options: list[str], named: str
) -> None:
    code, out, err = await verify_standard(tmp_path, *options)

    assert (code, out) == (2, "")
    assert named in err


@pytest.mark.parametrize(
    ("body", "signature", "secret", "timestamp", "reason"),
    [
        (BODY, OTHER, STANDARD_SECRET, str(SENT_AT), "not the signature of this body, id"),
        (BODY, GOOD, STANDARD_SECRET, str(SENT_AT + 1), "not the signature of this body, id"),
        (BODY, GOOD, STANDARD_SECRET, "2025-11-25", "not a number of seconds"),
        (BODY, GOOD, "whsec_no base64", str(SENT_AT), "not base64 after whsec_"),
        (BODY + b"\r\n", GOOD, STANDARD_SECRET, str(SENT_AT), "newline that was not sent"),
        (b"", GOOD, STANDARD_SECRET, str(SENT_AT), "the body on stdin is empty"),
    ],
)
def test_an_invalid_standard_signature_comes_with_its_reason(
    body: bytes, signature: str, secret: str, timestamp: str, reason: str
) -> None:
    problem = standard_problem(body, signature, secret, headers=(ID, timestamp))

    assert reason in (problem or "")
