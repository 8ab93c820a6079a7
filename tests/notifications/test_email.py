"""A letter says what happened and what comes next, and takes nobody's words for its own."""

import email
import email.policy
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from html.parser import HTMLParser
from typing import Any
from uuid import UUID

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from daemon.core.model.ids import NoticeId, TenantId, WebhookId
from daemon.core.model.notices import DueNotice, Letter, NoticeKind, PastAttempt
from daemon.core.outcomes.health import HealthLimits
from daemon.core.policy.email_addresses import parse_address
from daemon.notifications.email import EmailSettings, render_email
from daemon.notifications.email.wording import LONGEST_NAME

NOW = datetime(2025, 11, 25, 14, 30, tzinfo=UTC)
HEAD = EmailSettings(
    parse_address("PenguinMails <hooks@example.com>"), HealthLimits(), "https://console.test/c"
)
OPS = parse_address("Ops <ops@example.com>")
WEBHOOK = UUID(int=0xABC)
SERVER_ERROR = "the receiver answered 500 Internal Server Error"

NOTICE = DueNotice(
    id=NoticeId(7),
    kind=NoticeKind.FAILING,
    tenant_id=TenantId(UUID(int=0xDEF)),
    webhook_id=WebhookId(WEBHOOK),
    created_at=NOW,
    tries=0,
    leased_at=NOW + timedelta(seconds=2),
    leased_until=NOW + timedelta(minutes=3),
    failures=5,
    reason=SERVER_ERROR,
    webhook_name="CRM Contact Sync",
    endpoint_url="https://yourapp.com/webhooks",
    notification_email=None,
    is_active=True,
    consecutive_failures=5,
    last_success_at=NOW - timedelta(hours=1),
    attempts=(
        PastAttempt(NOW, 500, 123, SERVER_ERROR),
        PastAttempt(NOW - timedelta(minutes=1), None, 5000, "no answer within 5 s"),
        PastAttempt(NOW - timedelta(hours=1), 200, 12, None),
    ),
)


def letter_of(notice: DueNotice, *, operators: bool = True, head: EmailSettings = HEAD) -> Letter:
    return render_email(notice, head, to=[OPS], operators=operators)


def opened(letter: Letter) -> EmailMessage:
    message = email.message_from_bytes(letter.message, policy=email.policy.default)
    assert isinstance(message, EmailMessage)
    return message


def body(letter: Letter, kind: str) -> str:
    part = opened(letter).get_body((kind,))
    assert part is not None
    text: str = part.get_content()
    return text.replace("\r\n", "\n")


def plain(notice: DueNotice, **how: Any) -> str:
    """The plain text, its lines joined."""
    return " ".join(body(letter_of(notice, **how), "plain").split())


class Page(HTMLParser):
    """What a reader sees of HTML, and which tags and links it is made of."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.links: list[str | None] = []
        self.text = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.links += [value for name, value in attrs if name in {"href", "src"}]

    def handle_data(self, data: str) -> None:
        self.text += data


TAGS = {
    *("html", "head", "meta", "title", "body", "h1", "h2", "p", "strong", "bdi", "a", "pre"),
    *("table", "tr", "th", "td"),
}
SUBJECTS = {
    NoticeKind.FAILING: "Webhook “CRM Contact Sync” is failing",
    NoticeKind.HALF_WAY: "Webhook “CRM Contact Sync” is half way to being paused",
    NoticeKind.NEARLY_PAUSED: "Webhook “CRM Contact Sync” will soon be paused",
    NoticeKind.PAUSED: "Webhook “CRM Contact Sync” was paused",
    NoticeKind.GONE: "Webhook “CRM Contact Sync” answered 410 Gone and was paused",
}


@pytest.mark.parametrize("kind", NoticeKind)
def test_every_kind_has_a_subject_and_both_bodies_begin_with_it(kind: NoticeKind) -> None:
    letter = letter_of(replace(NOTICE, kind=kind))

    page = Page(body(letter, "html"))
    assert opened(letter)["Subject"] == SUBJECTS[kind]
    assert body(letter, "plain").startswith(f"{SUBJECTS[kind]}.\n\n")
    assert page.text.count(SUBJECTS[kind]) == 2
    assert page.tags <= TAGS


def test_the_headers_say_from_whom_to_whom_and_that_a_machine_wrote_it() -> None:
    letter = letter_of(NOTICE)

    message = opened(letter)
    assert letter.sender == "hooks@example.com"
    assert letter.recipients == ("ops@example.com",)
    assert message["From"] == "PenguinMails <hooks@example.com>"
    assert message["To"] == "Ops <ops@example.com>"
    assert message["Date"].datetime == NOTICE.leased_at
    assert message["Auto-Submitted"] == "auto-generated"
    assert message["X-Auto-Response-Suppress"] == "All"
    assert letter.message.isascii()
    assert max(map(len, letter.message.split(b"\r\n"))) < 998
    assert "CRM" not in repr(letter)


def test_a_notice_has_one_message_id_however_often_it_is_mailed() -> None:
    first, again = (
        letter_of(NOTICE),
        letter_of(replace(NOTICE, tries=3, leased_at=datetime.now(UTC))),
    )
    other = letter_of(replace(NOTICE, id=NoticeId(8)))

    ids = [opened(letter)["Message-ID"] for letter in (first, again, other)]
    assert ids[0] == ids[1] == f"<notice-7-{WEBHOOK}@example.com>"
    assert ids[2] != ids[0]


def test_it_says_how_often_it_failed_since_when_and_why() -> None:
    told = plain(NOTICE)

    assert "5 attempts in a row failed; the last success was at 2025-11-25 13:30:00 UTC." in told
    assert f"The last failure: {SERVER_ERROR}." in told
    assert "none has ever succeeded" in plain(replace(NOTICE, last_success_at=None))
    assert "1 attempt in a row failed" in plain(replace(NOTICE, failures=1))


@pytest.mark.parametrize(
    ("kind", "failures", "left"),
    [
        (NoticeKind.FAILING, 5, 95),
        (NoticeKind.HALF_WAY, 50, 50),
        (NoticeKind.NEARLY_PAUSED, 90, 10),
    ],
)
def test_before_the_pause_it_says_when_that_will_be(
    kind: NoticeKind, failures: int, left: int
) -> None:
    told = plain(replace(NOTICE, kind=kind, failures=failures, consecutive_failures=failures))

    assert f"At 100 failures in a row, {left} more than now, it is paused" in told
    assert "Resume" not in told
    assert "meantime" not in told


@pytest.mark.parametrize("kind", [NoticeKind.PAUSED, NoticeKind.GONE])
def test_after_the_pause_it_says_how_to_resume(kind: NoticeKind) -> None:
    paused = replace(NOTICE, kind=kind, failures=100, is_active=False)
    told, shown = plain(paused), Page(body(letter_of(paused), "html"))

    for text in (told, shown.text):
        assert "Nothing is sent to it until somebody resumes it." in text
        assert f"POST /api/webhooks/{WEBHOOK}/resume" in text
        assert f"UPDATE webhooks SET is_active = true WHERE id = '{WEBHOOK}';" in text
    assert ("410 Gone, which asks never to be called again" in told) == (kind is NoticeKind.GONE)


def test_only_operators_are_told_of_tables() -> None:
    paused = replace(NOTICE, kind=NoticeKind.PAUSED, is_active=False)

    told = plain(paused, operators=False)
    assert "UPDATE" not in told
    assert "/resume" in told


def test_the_last_attempts_stand_in_a_table() -> None:
    letter = letter_of(NOTICE)

    lines = body(letter, "plain").splitlines()
    page = Page(body(letter, "html"))
    assert f"  2025-11-25 14:30:00 UTC  500          123 ms  {SERVER_ERROR}" in lines
    assert "  2025-11-25 14:29:00 UTC  no answer   5000 ms  no answer within 5 s" in lines
    assert "  2025-11-25 13:30:00 UTC  200           12 ms  delivered" in lines
    assert page.text.index("123 ms") < page.text.index("no answer within 5 s")
    assert page.text.index("5000 ms") < page.text.index("delivered")


def test_of_an_attempt_only_what_came_of_it_may_break_over_two_lines() -> None:
    html = body(letter_of(NOTICE), "html")

    rows = re.findall("<tr><td.*2025-.*</tr>", html)[-3:]
    assert len(rows) == 3
    for row in rows:
        *short, told = re.findall("<td[^>]*>", row)
        assert len(short) == 3
        assert all("white-space: nowrap" in cell for cell in short)
        assert "nowrap" not in told


@pytest.mark.parametrize("kind", [NoticeKind.PAUSED, NoticeKind.GONE])
def test_after_the_pause_it_says_how_to_replay_what_came_meanwhile(kind: NoticeKind) -> None:
    paused = replace(NOTICE, kind=kind, is_active=False)
    told, shown = plain(paused), Page(body(letter_of(paused), "html"))

    for text in (told, shown.text):
        assert "and can be replayed" in text
        assert "POST /api/replays" in text
        assert f'{{"webhookId": "{WEBHOOK}", "from": "2025-11-25T14:30:00Z"}}' in text
        assert f"webhookd replay --webhook {WEBHOOK} --from 2025-11-25T14:30:00Z" in text
    assert "webhookd replay" not in plain(paused, operators=False)
    assert "replay" not in plain(NOTICE)


def test_without_attempts_there_is_no_table_of_them() -> None:
    letter = letter_of(replace(NOTICE, attempts=(), reason=None))

    assert "last attempts" not in body(letter, "plain")
    assert "last attempts" not in body(letter, "html")
    assert "last failure" not in body(letter, "plain")


def test_the_link_leads_to_the_webhook_in_the_console() -> None:
    letter = letter_of(NOTICE)

    link = f"https://console.test/c/webhooks/{WEBHOOK}"
    assert link in body(letter, "plain")
    assert set(Page(body(letter, "html")).links) == {link}


@pytest.mark.parametrize("kind", NoticeKind)
def test_without_a_console_there_is_no_link(kind: NoticeKind) -> None:
    letter = letter_of(replace(NOTICE, kind=kind), head=replace(HEAD, console_url=None))

    assert "console" not in body(letter, "plain")
    assert Page(body(letter, "html")).links == []


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"kind": NoticeKind.PAUSED, "is_active": True}, "It has been resumed"),
        ({"kind": NoticeKind.PAUSED, "is_active": False}, None),
        ({"kind": NoticeKind.GONE, "is_active": True}, "It has been resumed"),
        ({"kind": NoticeKind.HALF_WAY, "is_active": False}, "It has been paused"),
        ({"consecutive_failures": 0}, "The count of its failures has begun anew"),
        ({"consecutive_failures": 9}, None),
    ],
)
def test_a_letter_that_comes_late_says_what_is_otherwise_by_now(
    changed: dict[str, Any], told: str | None
) -> None:
    letter = letter_of(replace(NOTICE, **changed))

    for kind in ("plain", "html"):
        assert ("in the meantime" in body(letter, kind)) == (told is not None)
        assert told is None or told in body(letter, kind)


def test_markup_in_a_name_is_text_like_any_other() -> None:
    name = "<script>alert('1')</script> & {{ 7 * 7 }}"
    letter = letter_of(replace(NOTICE, webhook_name=name, reason="<img src=x>"))

    page = Page(body(letter, "html"))
    assert opened(letter)["Subject"] == f"Webhook “{name}” is failing"
    assert name in body(letter, "plain")
    assert name in page.text
    assert "<img src=x>" in page.text
    assert page.tags <= TAGS


@pytest.mark.parametrize(
    "name", ["שלום עולם", "مرحبا", "👩‍👩‍👧‍👦 family", "Grüße, 世界", "a“b”c\\d"]
)
def test_names_of_every_script_come_out_as_they_are(name: str) -> None:
    letter = letter_of(replace(NOTICE, webhook_name=name))

    assert opened(letter)["Subject"] == f"Webhook “{name}” is failing"
    assert name in body(letter, "plain")
    assert f"<bdi>{name}</bdi>" in body(letter, "html")


HOSTILE = [
    "x\r\nBcc: eve@example.com",
    "x\nContent-Type: text/html\n\n<b>",
    "=?utf-8?q?x=0D=0ABcc:_eve@example.com?=",
    "=?utf-8?b?eA0KQmNjOiBldmVAZXhhbXBsZS5jb20=?=",
    "x\x00\x1b[31m\u2028y\u202egnp.exe",
    "\u2066\u202e" * 50,
    "",
    " ",
    "=?" * 100,
    "é" * 255,
    "a" * 255,
    "\U0001f469\u200d" * 120,
    '"<>,;:@()[]\\',
    "\ufeff\ufffe\U0010ffff",
]


@pytest.mark.parametrize("name", HOSTILE)
def test_no_name_makes_a_header_of_its_own_or_turns_the_text_round(name: str) -> None:
    letter = letter_of(replace(NOTICE, webhook_name=name))

    assert_sound(letter)


def assert_sound(letter: Letter) -> None:
    """It reads as it was meant: our headers alone, each once, and nothing that turns text round."""
    message = opened(letter)
    subject = str(message["Subject"])
    assert sorted(message.keys()) == [
        *("Auto-Submitted", "Content-Type", "Date", "From", "MIME-Version", "Message-ID"),
        *("Subject", "To", "X-Auto-Response-Suppress"),
    ]
    assert message.defects == []
    assert message["To"] == "Ops <ops@example.com>"
    assert subject.startswith("Webhook “")
    assert subject.endswith("” is failing")
    assert len(subject) <= LONGEST_NAME + len("Webhook “” is failing")
    for text in (subject, *body(letter, "plain").splitlines(), Page(body(letter, "html")).text):
        assert not set(text) & set("\r\x00\x1b\u2028\u2029\u202e\u2066")
    assert Page(body(letter, "html")).tags <= TAGS


# What PostgreSQL can hold: no NUL, no lone surrogates.
texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=400)


@example(name="a" * 60 + " é" * 40, reason="", url="")
@example(name="00000¡¡𐀀𐀀𐀀𐀀𐀀𐀀 ¡ 0", reason="", url="")
@example(name="=?utf-8?q?=0A?=", reason="=?utf-8?q?=0A?=", url="=?utf-8?q?=0A?=")
@given(name=texts, reason=texts, url=texts)
def test_whatever_a_customer_writes_the_letter_is_sound(name: str, reason: str, url: str) -> None:
    attempt = PastAttempt(NOW, None, None, reason)
    letter = letter_of(
        replace(
            NOTICE, webhook_name=name, reason=reason, endpoint_url=url, attempts=(attempt, attempt)
        )
    )

    assert_sound(letter)
    assert opened(letter)["Subject"] == body(letter, "plain").split(".\n\n", 1)[0]


def test_of_a_url_neither_user_nor_query_is_told() -> None:
    url = "https://someone:c4n4ry@yourapp.com/hook?token=c4n4ry#c4n4ry"
    letter = letter_of(
        replace(NOTICE, endpoint_url=url, webhook_name=f"at {url}", reason=f"see {url}")
    )

    for text in everything(letter):
        assert "c4n4ry" not in text
    assert "https://yourapp.com/hook" in body(letter, "plain")


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://yourapp.com/a/b", "https://yourapp.com/a/b"),
        ("https://u:c4n4ry@yourapp.com:8443/a?c4n4ry#c4n4ry", "https://yourapp.com:8443/a"),
        ("https://u<:c4n4ry@h/<b>?c4n4ry", "https://h/%3Cb%3E"),
        ("https://h/a b\r\nc?c4n4ry", "https://h/a%20b%0D%0Ac"),
        ("https://u:p#c4n4ry@h/", "https://[hidden]"),
        ("https://u:c4n4ry/x@h/", "https://[hidden]"),
        ("nothing?c4n4ry", "nothing"),
    ],
)
def test_of_an_endpoint_scheme_host_and_path_are_told(url: str, shown: str) -> None:
    letter = letter_of(replace(NOTICE, endpoint_url=url))

    assert f"  Endpoint  {shown}\n" in body(letter, "plain")


def everything(letter: Letter) -> Iterator[str]:
    yield letter.message.decode()
    yield str(opened(letter)["Subject"])
    yield body(letter, "plain")
    yield body(letter, "html")


def test_several_administrators_are_told_in_one_letter() -> None:
    letter = render_email(NOTICE, HEAD, to=[OPS, parse_address("eve@example.com")], operators=True)

    assert letter.recipients == ("ops@example.com", "eve@example.com")
    assert opened(letter)["To"] == "Ops <ops@example.com>, eve@example.com"
