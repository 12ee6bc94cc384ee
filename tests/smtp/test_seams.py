"""What we use of aiosmtpd below its public surface: if it moves, it is told here and not in production."""

from __future__ import annotations

import inspect

import aiosmtpd.smtp
from smtp_door import Client, House

from mailsystem.smtp import replies
from mailsystem.smtp.conversation import Conversation
from mailsystem.smtp.handler import MailHandler, MailSession, Transaction
from mailsystem.smtp.server import MailSMTP

BASE = aiosmtpd.smtp.SMTP
OURS = {
    "HELO",
    "EHLO",
    "LHLO",
    "STARTTLS",
    "AUTH",
    "MAIL",
    "RCPT",
    "DATA",
    "BDAT",
    "RSET",
    "NOOP",
    "VRFY",
    "QUIT",
    "HELP",
}
REFUSED = {"EXPN"}


def test_the_model_is_aiosmtpds() -> None:
    assert issubclass(MailSMTP, BASE)
    assert issubclass(MailSession, aiosmtpd.smtp.Session)
    assert issubclass(Transaction, aiosmtpd.smtp.Envelope)


def test_every_command_is_ours() -> None:
    """A command that a newer aiosmtpd brings would be there at once, with replies and limits of its own."""
    assert {verb.decode() for verb in MailSMTP.verbs} == OURS | REFUSED
    for verb, method in MailSMTP.verbs.items():
        name = f"smtp_{verb.decode()}"
        assert method is getattr(MailSMTP, name)
        assert name in vars(MailSMTP), f"{name} is aiosmtpd's"
        assert getattr(method, "__smtp_syntax__", None), f"{name} says nothing of its syntax"


def test_the_private_methods_that_we_replace_and_keep_are_still_there() -> None:
    for name in ("_create_session", "_create_envelope", "_set_rset_state", "_set_post_data_state", "_handle_client"):
        assert inspect.isfunction(getattr(BASE, name)), name
        assert name in vars(Conversation), name
    assert list(inspect.signature(BASE._call_handler_hook).parameters) == ["self", "command", "args"]
    assert "_call_handler_hook" not in vars(Conversation)
    source = inspect.getsource(BASE._call_handler_hook)
    assert "self._handle_hooks.get(command)" in source
    assert "hook(self, self.session, self.envelope, *args)" in source
    assert inspect.iscoroutinefunction(BASE.push)


def test_the_model_keeps_what_we_read_of_it() -> None:
    session = inspect.getsource(aiosmtpd.smtp.Session.__init__)
    assert all(f"self.{name}" in session for name in ("peer", "host_name", "extended_smtp", "authenticated"))
    assert aiosmtpd.smtp.Envelope().smtp_utf8 is False


def test_an_smtp_that_was_never_begun_goes_quietly() -> None:
    """Its base is a stream protocol with a destructor; ours never calls its constructor."""
    MailSMTP.__new__(MailSMTP).__del__()  # type: ignore[no-untyped-call]


async def test_hooks_are_found_once_and_called_with_the_model(house: House) -> None:
    seen = []

    async def spying(
        self: MailHandler, server: object, session: MailSession, envelope: Transaction, sender: object
    ) -> replies.Reply:
        seen.append((type(server), type(session), type(envelope)))
        envelope.sender = sender  # type: ignore[assignment]
        return replies.SENDER_OK.saying("seen")

    original = MailHandler.handle_MAIL
    MailHandler.handle_MAIL = spying  # type: ignore[method-assign]
    try:
        async with house.door() as door, await Client.connect(door) as client:
            assert await client.say("MAIL FROM:<a@example.net>") == "250 2.1.0 seen"
    finally:
        MailHandler.handle_MAIL = original  # type: ignore[method-assign]
    assert seen == [(MailSMTP, MailSession, Transaction)]
