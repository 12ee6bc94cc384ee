"""Sign up, read the mail, follow its link."""

import pytest
from django.test import Client

from mailsystem.testing import Inbox

pytestmark = pytest.mark.usefixtures("mailsystem_django")


def test_the_link_in_the_mail_confirms_the_address(mail: Inbox) -> None:
    client = Client()
    client.post("/signup/", {"email": mail.address})

    message = mail.expect(subject="Welcome", from_="shop@example.com")
    assert message.to == [mail.address]
    link = message.link(text="Confirm your address")
    assert link == message.link("/welcome/"), "text and HTML lead to the same page"
    assert client.get(link).content.decode() == f"Welcome, {mail.address}!"


def test_who_gives_no_address_gets_no_mail(mail: Inbox) -> None:
    assert Client().post("/signup/", {"email": "ann"}).status_code == 400
    mail.idle()  # Django has sent all that it will: nothing is waited for
    mail.none()


def test_the_mail_looks_as_it_did(mail: Inbox) -> None:
    Client().post("/signup/", {"email": mail.address})
    mail.expect().assert_matches_snapshot("welcome", masks={"/welcome/[^/]+/": "/welcome/TOKEN/"})
