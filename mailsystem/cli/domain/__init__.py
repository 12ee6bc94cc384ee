"""`mailsystem domain`: the domains whose mail is accepted here, and what the world has to know about them."""

from mailsystem.cli.domain import keys, names, records, rotation

app = names.app
app.command("dns", epilog=records.dns_epilog)(records.dns)
app.command("keys", epilog=keys.keys_epilog)(keys.keys)
app.command("rotate", epilog=rotation.rotate_epilog)(rotation.rotate)

__all__ = ["app"]
