"""Whole programs: two workers together strike as often as they should; a server strikes nobody; magic can be off."""

from __future__ import annotations

from pathlib import Path

import program
from faulty import Rules, held
from wire import Smtp


def test_two_workers_together_strike_exactly_so_often(tmp_path: Path) -> None:
    with program.sink(tmp_path, args=["--workers", "2", "--log-format", "json"]) as sink:
        rules = Rules(sink.data_dir)
        rules.add("smtp NOOP reply=451 times=5")
        codes = []
        for _ in range(12):
            # Each connection comes to one of the two; whoever comes after the rule knows it.
            with Smtp(sink.smtp) as one, Smtp(sink.smtp) as other:
                codes += [one.say(b"NOOP")[0], other.say(b"NOOP")[0]]
        assert codes == [451] * 5 + [250] * 19
        assert rules.all()[0].hits == 5


def test_magic_can_be_off(tmp_path: Path) -> None:
    with program.sink(tmp_path, env={"MAILSYSTEM_FAULTS__MAGIC": "false"}) as sink, Smtp(sink.smtp) as smtp:
        assert smtp.message("bob@example.org", ["451+x@example.org", "bounce+x@example.org"], b"x: y\r\n\r\n")[0] == 250


def test_over_lmtp_each_recipient_hears_of_it(tmp_path: Path) -> None:
    people = ["ann@example.org", "bob@example.org"]
    with program.sink(tmp_path, env={"MAILSYSTEM_LMTP__PORT": "0"}) as sink:
        Rules(sink.data_dir).add(
            "smtp EHLO reply=450 times=1",
            "smtp BODY to=bob@* reply=451 times=1",
            "smtp BODY to=bob@* reply=452 performed times=1",
        )
        with Smtp(program.Place(sink.ready["lmtp"]["host"], sink.ready["lmtp"]["port"]), hello=False) as lmtp:
            lmtp.say(b"LHLO me", expect=450)
            lmtp.say(b"LHLO me", expect=250)
            for expected in (451, 452, 250):
                assert lmtp.message("x@example.org", people, b"x: y\r\n\r\n")[0] == expected
                assert lmtp.reply()[0] == expected
        assert held(sink, people[0]) == 2


def test_a_server_has_no_faults(tmp_path: Path) -> None:
    with program.serve(tmp_path) as server:
        program.add_domain("example.org", data_dir=server.data_dir)
        program.add_user("451+x@example.org", "correct horse", data_dir=server.data_dir)
        Rules(server.data_dir).add("smtp NOOP reply=451")
        with Smtp(server.smtp) as smtp:
            smtp.say(b"NOOP", expect=250)
            smtp.say(b"MAIL FROM:<bob@example.net>", expect=250)
            smtp.say(b"RCPT TO:<451+x@example.org>", expect=250)
