"""The command `centripetal`."""

from __future__ import annotations

import importlib
import os
import sys
from typing import Any

import click

from .flags import add_option_flags, complete_switches

COMMANDS: dict[str, tuple[str, str]] = {
    "serve": ("serve", "Run the server (also without this word), or serve static files with --dir."),
    "version": ("version", "Print the version."),
    "genconfig": ("configuration", "Write a small configuration file with fresh keys."),
    "checkconfig": ("configuration", "Check a configuration file."),
    "defaultconfig": ("configuration", "Write a configuration file with every option."),
    "defaultenv": ("configuration", "Print every option as an environment variable."),
    "configdoc": ("configdoc", "Show the reference of all options."),
    "gentoken": ("tokens", "Make a connection token."),
    "gensubtoken": ("tokens", "Make a subscription token."),
    "checktoken": ("tokens", "Check a connection token."),
    "checksubtoken": ("tokens", "Check a subscription token."),
    "pub": ("operate", "Publish into a channel of a running server."),
    "sub": ("subscribe", "Print the publications of a channel of a running server."),
    "info": ("operate", "Show the nodes of a running server."),
    "channels": ("operate", "Show the active channels of a running server."),
    "help": ("help", "Show the help of a command."),
    "completion": ("help", "Print the completion script of a shell."),
}
"""Module below this package and one line of help; modules are loaded only for the command that runs."""


class Console(click.Group):
    """The top command: runs the server when no other command is named."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Returns the names of all commands."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Returns one command, loading its module."""
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"centripetal.cli.{COMMANDS[cmd_name][0]}")
        command = getattr(module, cmd_name)
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Writes the list of commands without loading them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parses the flags of the server command."""
        return super().parse_args(ctx, complete_switches(args))


@click.group(
    cls=Console,
    invoke_without_command=True,
    no_args_is_help=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120},
    help="Centripetal is a real-time messaging server. Without a command it serves: `centripetal -c FILE`.",
)
@add_option_flags
@click.pass_context
def console(ctx: click.Context, /, **parameters: Any) -> int:
    """Runs the server, unless a command is named."""
    if ctx.invoked_subcommand is not None:
        given = [name for name, value in parameters.items() if value is not None]
        if given:
            raise click.UsageError(f"flags belong behind the command: {ctx.invoked_subcommand} ...")
        return 0
    from .serve import run_server

    return run_server(parameters)


def main() -> None:
    """Runs the command line of this process and ends it: status 0, 1 for any error, 130 for an interrupt."""
    try:
        status = console.main(args=sys.argv[1:], prog_name="centripetal", standalone_mode=False)
    except click.UsageError as error:
        command = error.ctx.command_path if error.ctx is not None else "centripetal"
        status = fail(f"{error.format_message()} (help: {command} --help)")
    except click.ClickException as error:
        status = fail(error.format_message())
    except (click.Abort, KeyboardInterrupt):
        status = 130
    except BrokenPipeError:
        # The reader of our output went away, as `head` does; flushing at exit would fail again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = 1
    except Exception as error:
        from centripetal.config.errors import ConfigError  # here, so that `version` need not load the schema

        if not isinstance(error, ConfigError):
            raise
        status = fail(str(error))
    sys.exit(status if isinstance(status, int) else 0)


def fail(message: str) -> int:
    """Writes one line about an error and returns the exit status for it."""
    print("error: " + " ".join(message.split()), file=sys.stderr)
    return 1
