"""`mailsystem user`: the people whose mail is kept here."""

from mailsystem.cli.user import access, addresses, app_passwords, limits, maildrop, people, rules, sharing

app = people.app
app.command("show", epilog=rules.show_epilog)(rules.show)
app.command("quota", epilog=rules.quota_epilog)(rules.quota)
app.command("limits", epilog=limits.limits_epilog)(limits.limits)
app.command("sender", epilog=rules.sender_epilog)(rules.sender)
app.command("capability", epilog=rules.capability_epilog)(rules.capability)
app.command("maildrop", epilog=maildrop.maildrop_epilog)(maildrop.maildrop)
app.command("disable", epilog=access.disable_epilog)(access.disable)
app.command("enable", epilog=access.enable_epilog)(access.enable)
app.command("logins", epilog=access.logins_epilog)(access.logins)
app.add_typer(addresses.app, name="address")
app.add_typer(app_passwords.app, name="app-password")
app.add_typer(sharing.app, name="share")

__all__ = ["app"]
