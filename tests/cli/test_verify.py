"""`webhookd verify`: signatures checked offline."""

from pathlib import Path

import pytest

from daemon.cli.verify import signature_problem
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
