"""
The email that asks the owner of an address to confirm it.

It has no word of the tenant's, who could otherwise send text of its own to any mailbox.
"""

from datetime import timedelta
from email.headerregistry import Address
from hashlib import sha256

from daemon.core.model.confirmations import LeasedConfirmation
from daemon.core.model.notices import Email
from daemon.notifications.email.message import Draft, EmailSettings, render

SUBJECT = "Confirm your address"
ASKED = (
    "This address, {address}, was entered to get notices about webhooks that fail or are paused."
    " The webhooks belong to the tenant {tenant}."
)
HOW = (
    "If you want these notices, open the page below and press the button there. The link works"
    " once, for {days} days. If the page does not show the code, enter it there."
)
OTHERWISE = (
    "If you do not, ignore this email: no notices are sent to you. You may get another request, at"
    " longer and longer intervals, if the address is entered again."
)


def render_confirmation(
    request: LeasedConfirmation,
    settings: EmailSettings,
    *,
    code: str,
    page_url: str,
    valid_for: timedelta,
) -> Email:
    """
    Render the email with the link and the code.

    The code is in the link's fragment, which browsers do not send: it is in no server's log.
    """
    local, _, domain = request.address.rpartition("@")
    values = {
        "subject": SUBJECT,
        "asked": ASKED.format(address=request.address, tenant=request.tenant_id),
        "how": HOW.format(days=valid_for.days),
        "otherwise": OTHERWISE,
        "link": f"{page_url}#{code}",
        "code": code,
    }
    draft = Draft(
        template="confirmation",
        values=values,
        subject=SUBJECT,
        message_id=f"confirmation-{sha256(code.encode()).hexdigest()[:40]}",
        date=request.leased_at,
        to=[Address(username=local, domain=domain)],
    )
    return render(draft, settings)
