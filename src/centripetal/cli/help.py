"""Help and shell completion."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from .main import console

SHELLS = ("bash", "zsh", "fish")


@click.command()
@click.argument("name", required=False, metavar="[COMMAND]")
@click.pass_context
def help(ctx: click.Context, name: str | None) -> None:
    """Shows the help of a command."""
    parent = ctx.parent
    assert parent is not None
    if name is None:
        click.echo(console.get_help(parent))
        return
    command = console.get_command(parent, name)
    if command is None:
        raise click.UsageError(f"there is no command {name!r}")
    with click.Context(command, info_name=name, parent=parent) as context:
        click.echo(command.get_help(context))


@click.command()
@click.argument("shell", type=click.Choice(SHELLS))
def completion(shell: str) -> None:
    """Prints a script for bash, zsh or fish that completes this command; put it where the shell reads such scripts."""
    kind = get_completion_class(shell)
    assert kind is not None
    click.echo(kind(console, {}, "centripetal", "_CENTRIPETAL_COMPLETE").source())
