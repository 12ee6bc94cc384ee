"""`mailsystem queue`: the mail that waits to leave for other servers."""

import typer

from mailsystem.cli.queue import changing, looking, remembering, suppressing

app = typer.Typer(
    help="See what waits to leave for other servers, and why, and do something about it.", no_args_is_help=True
)
app.command("list", epilog=looking.list_epilog)(looking.list_)
app.command("show", epilog=looking.show_epilog)(looking.show)
app.command("retry", epilog=changing.retry_epilog)(changing.retry)
app.command("hold", epilog=changing.hold_epilog)(changing.hold)
app.command("release", epilog=changing.release_epilog)(changing.release)
app.command("drop", epilog=changing.drop_epilog)(changing.drop)
app.add_typer(suppressing.app, name="suppress")
app.add_typer(remembering.app, name="tls")

__all__ = ["app"]
