"""What a test may do with its mail, all of it once, as one reads it: each name, each argument, each way to say it."""

from __future__ import annotations

import re
from email.message import EmailMessage

import pytest

from mailsystem.testing import AsyncInbox, Inbox, MailFailure, SmtpSettings


class Application:
    """Sends in the moment in which it is asked."""

    def __init__(self, settings: SmtpSettings, mail: Inbox) -> None:
        self._settings = settings
        self._mail = mail

    def send(self, to: str, subject: str, text: str = "", sender: str = "", *, secure: bool = False) -> None:
        message = EmailMessage()
        message["From"], message["To"], message["Subject"] = "shop@example.net", to, subject
        message.set_content(text)
        message.add_alternative(f"<p>{text}</p>", subtype="html")
        message.add_attachment(b"%PDF", maintype="application", subtype="pdf", filename="terms.pdf")
        with self._mail.smtp(tls="starttls" if secure else None, login=False) as client:
            client.send_message(message, sender, [to])

    def reset(self, to: str) -> None:
        self.send(to, "Reset your password", "Code 482913 or https://shop.example.com/reset/abc", secure=True)


@pytest.fixture
def app(mail: Inbox) -> Application:
    return Application(SmtpSettings(mail.server, "app@example.org"), mail)


def test_a_message_is_expected_and_looked_at(mail: Inbox, app: Application) -> None:
    app.reset(mail.address)
    m = mail.expect(subject="Reset", to=mail.address, timeout=5)
    assert m.envelope.mail_from == ""
    assert m.envelope.rcpt == (mail.address,)
    assert m.session.tls
    assert "STARTTLS" in m.session.transcript
    assert isinstance(m.email, EmailMessage)
    assert m.email.policy.raise_on_defect is False
    assert m.raw.startswith(b"From: shop@example.net\r\n")
    assert m.link("/reset/") == "https://shop.example.com/reset/abc"
    assert m.code() == "482913"
    assert m.attachment("*.pdf").bytes == b"%PDF"
    assert "482913" in m.text
    assert "<p>Code 482913" in m.html


def test_several_none_and_what_comes_of_a_block(mail: Inbox, app: Application) -> None:
    for number in range(3):
        app.send(mail.address, f"Number {number}")
    assert [m.subject for m in mail.expect(count=3, order="arrival")] == ["Number 0", "Number 1", "Number 2"]
    mail.none(subject="Spam")
    with mail.expecting(subject="x") as got:
        app.send(mail.address, "x")
    assert got.message.subject == "x"
    with pytest.raises(MailFailure, match=r"(?s)expected exactly one message.*4 came.*what did arrive:.*Number 0"):
        mail.expect()


def test_faults_domains_deliveries_and_clients(mail: Inbox, app: Application) -> None:
    with mail.faults(rcpt=mail.address, at="DATA", reply="451 4.7.1 later", times=2):
        for _ in range(2):
            with pytest.raises(Exception, match=re.escape("4.7.1 later")):
                app.send(mail.address, "Order")
        app.send(mail.address, "Order")
    mail.expect(subject="Order")
    assert mail.domain("shop.test") == "shop.test"
    app.send("anybody@shop.test", "Catch all")
    mail.expect(to="anybody@shop.test")
    message = EmailMessage()
    message["Subject"] = "Delivered"
    mail.deliver(message)
    assert mail.imap().select()[1] == [b"2"]
    assert mail.pop3().stat()[0] == 2
    assert mail.smtp(tls="starttls").noop()[0] == 250


async def test_the_same_in_a_coroutine(amail: AsyncInbox) -> None:
    message = EmailMessage()
    message["Subject"] = "Delivered"
    async with amail.expecting(subject="Delivered") as got:
        await amail.deliver(message)
    assert got.message.envelope.rcpt == (amail.address,)
    assert (await amail.expect(subject=re.compile("^Deliv"), timeout=1)).id == got.message.id
    assert [each.id for each in await amail.messages()] == [got.message.id]
    await amail.none(subject="Spam")
    with pytest.raises(TypeError, match="sender"):
        await amail.expect(sender="x")  # type: ignore[call-overload]


def test_what_is_no_argument_is_refused(mail: Inbox) -> None:
    with pytest.raises(TypeError, match="no 'sender' to ask for; ask by subject, from_, to, query"):
        mail.expect(sender="x")  # type: ignore[call-overload]
    with pytest.raises(TypeError, match="sender"):
        mail.none(sender="x")  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="sender"), mail.expecting(sender="x"):  # type: ignore[call-arg]
        raise AssertionError("before anything of the block is done")
