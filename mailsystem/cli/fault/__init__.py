"""`mailsystem fault`: what goes wrong in a sink, and mail that answers mail."""

import typer

from mailsystem.cli.fault import rules, writing

app = typer.Typer(help="Let things go wrong in a sink, when and as often as a test wants it.", no_args_is_help=True)
app.command("add", epilog=rules.add_epilog)(rules.add)
app.command("list", epilog=rules.list_epilog)(rules.list_)
app.command("remove", epilog=rules.remove_epilog)(rules.remove)
app.command("clear", epilog=rules.clear_epilog)(rules.clear)
app.command("reset", epilog=rules.reset_epilog)(rules.reset)
app.command("bounce", epilog=writing.bounce_epilog)(writing.bounce)
app.command("autoreply", epilog=writing.autoreply_epilog)(writing.autoreply)
app.command("complaint", epilog=writing.complaint_epilog)(writing.complaint)

__all__ = ["app"]
