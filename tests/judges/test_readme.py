"""What the README tells a newcomer to type does what the README says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from outside import Run, Tool
from program import Program

import mailsystem
from mailsystem.cli import banner
from mailsystem.net import Bound

pytestmark = pytest.mark.judge

README = (Path(mailsystem.__file__).parents[1] / "README.md").read_text()


def test_the_three_lines_send_and_read_a_message(sink: Program, tool: Tool, run: Run) -> None:
    tool("curl")
    ports = {"1025": sink.smtp.port, "1110": sink.pop3.port, "1143": sink.imap.port}
    lines = [line for line in README.splitlines() if re.search(rf"curl.*127\.0\.0\.1:({'|'.join(ports)})", line)]
    assert len(lines) == 3
    send, *reads = [re.sub(r"127\.0\.0\.1:(\d+)", lambda found: f"127.0.0.1:{ports[found[1]]}", line) for line in lines]
    run("bash", "-c", f"set -o pipefail; {send}")
    for read in reads:
        assert b"Subject: Hello\r\n\r\nIt works.\r\n" in run("bash", "-c", read).stdout


def test_the_sink_prints_the_lines_of_the_readme() -> None:
    host = "127.0.0.1"
    for line in (
        banner.send_line(Bound(host, 1025)),
        banner.pop3_line(Bound(host, 1110)),
        banner.imap_line(Bound(host, 1143)),
    ):
        assert line in README


def test_the_sink_greets_with_where_it_listens_and_what_to_try(sink: Program) -> None:
    said = sink.output()
    for place in (sink.smtp, sink.pop3, sink.imap):
        assert f"127.0.0.1:{place.port}" in said
    assert said.count("curl ") == 3
