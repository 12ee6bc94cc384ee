"""Who takes part in the journey: their addresses and their lanes."""

from __future__ import annotations

from typing import Final

from mailsystem.cli.demo.play import Lane

ALICE_DOMAIN, BOB_DOMAIN = "a.test", "b.test"
ALICE_ADDRESS: Final = f"alice@{ALICE_DOMAIN}"
BOB_ADDRESS: Final = f"bob@{BOB_DOMAIN}"
NOBODY: Final = f"nobody@{BOB_DOMAIN}"
ALICE, SERVER_A, SERVER_B, OLD_PC, PHONE, PC = "alice", "server-a", "server-b", "old-pc", "phone", "pc"

LANES: Final = (
    Lane(ALICE, "Alice", "mail client"),
    Lane(SERVER_A, "server A", "mx.a.test", is_server=True),
    Lane(SERVER_B, "server B", "mx.b.test", is_server=True),
    Lane(OLD_PC, "Bob’s old PC", "POP3", only_pulls=True),
    Lane(PHONE, "Bob’s phone", "IMAP"),
    Lane(PC, "Bob’s PC", "IMAP"),
)
