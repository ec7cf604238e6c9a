"""The programme `doorstep`: which commands there are."""

import typer

from deploy.cli import (
    accounts,
    dead_letters,
    entries,
    lists,
    numbers,
    rebuild,
    replay,
    rounds,
    simulate,
    status,
    submit,
    tail,
    token,
    verify,
)
from deploy.cli.help import Group
from deploy.cli.session import Language, command

app = typer.Typer(cls=Group, help="help.doorstep", add_completion=False, no_args_is_help=True)
tokens = typer.Typer(name="token", cls=Group, help="help.token", no_args_is_help=True)
letters = typer.Typer(name="dead-letters", cls=Group, help="help.dead-letters", no_args_is_help=True)

sources = typer.Typer(name="source", cls=Group, help="help.source", no_args_is_help=True)
work = typer.Typer(name="round", cls=Group, help="help.round", no_args_is_help=True)
staff = typer.Typer(name="staff", cls=Group, help="help.staff", no_args_is_help=True)
exports = typer.Typer(name="export", cls=Group, help="help.export", no_args_is_help=True)


@app.callback()
def doorstep(language: Language = None) -> None:
    """Settings that come before the command."""


command(app, "status")(status.status)
command(app, "submit")(submit.submit)
command(app, "tail")(tail.tail)
app.add_typer(tokens)
command(tokens, "new", "token.")(token.new)
command(tokens, "revoke", "token.")(token.revoke)
app.add_typer(sources)
command(sources, "add", "source.")(accounts.add_source)
command(sources, "list", "source.")(accounts.list_sources)
command(sources, "remove", "source.")(accounts.remove_source)
app.add_typer(staff)
command(staff, "add", "staff.")(accounts.add_staff)
command(staff, "list", "staff.")(accounts.list_staff)
command(staff, "remove", "staff.")(accounts.remove_staff)
app.add_typer(letters)
command(letters, "list", "dead-letters.")(dead_letters.list_all)
command(letters, "show", "dead-letters.")(dead_letters.show)
command(letters, "replay", "dead-letters.")(dead_letters.replay)
command(letters, "drop", "dead-letters.")(dead_letters.drop)
app.add_typer(work)
command(work, "open", "round.")(rounds.open_round)
command(work, "list", "round.")(rounds.list_rounds)
command(work, "show", "round.")(rounds.show)
command(work, "missing", "round.")(rounds.missing)
command(work, "members", "round.")(rounds.members)
command(work, "strangers", "round.")(rounds.strangers)
command(work, "record", "round.")(rounds.record)
command(work, "close", "round.")(rounds.close)
command(app, "import")(lists.take_in)
app.add_typer(exports)
command(exports, "people", "export.")(lists.give_out)
command(app, "numbers")(numbers.numbers)
command(app, "report")(numbers.report)
command(app, "entries")(entries.entries)
command(app, "replay")(replay.replay)
command(app, "verify")(verify.verify)
command(app, "rebuild")(rebuild.rebuild)
command(app, "simulate", alone=True)(simulate.simulate)

if __name__ == "__main__":
    app()
