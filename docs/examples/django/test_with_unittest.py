"""The same with Django's own test runner: `python -m django test`, without pytest."""

from django.test import Client, SimpleTestCase, override_settings

from mailsystem.testing import MailTestCase


class SignupTest(MailTestCase, SimpleTestCase):
    def test_the_mail_comes(self) -> None:
        with override_settings(**self.smtp_settings.django()):
            Client().post("/signup/", {"email": self.mail.address})
        self.assertEqual(self.mail.expect(subject="Welcome").to, [self.mail.address])
