"""The programme `doorstep`: which commands there are."""

import typer

from deploy.cli import dead_letters, replay, status, submit, tail, token, verify
from deploy.cli.help import Group
from deploy.cli.session import Language, command

app = typer.Typer(cls=Group, help="help.doorstep", add_completion=False, no_args_is_help=True)
tokens = typer.Typer(name="token", cls=Group, help="help.token", no_args_is_help=True)
letters = typer.Typer(name="dead-letters", cls=Group, help="help.dead-letters", no_args_is_help=True)


@app.callback()
def doorstep(language: Language = None) -> None:
    """Settings that come before the command."""


command(app, "status")(status.status)
command(app, "submit")(submit.submit)
command(app, "tail")(tail.tail)
app.add_typer(tokens)
command(tokens, "new", "token.")(token.new)
command(tokens, "revoke", "token.")(token.revoke)
app.add_typer(letters)
command(letters, "list", "dead-letters.")(dead_letters.list_all)
command(letters, "show", "dead-letters.")(dead_letters.show)
command(letters, "replay", "dead-letters.")(dead_letters.replay)
command(letters, "drop", "dead-letters.")(dead_letters.drop)
command(app, "replay")(replay.replay)
command(app, "verify")(verify.verify)

if __name__ == "__main__":
    app()
