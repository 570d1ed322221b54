"""What the commands of the command line share: one-line errors, options in groups."""

from collections.abc import Callable
from typing import Any

import click

from onehotglm.errors import OneHotGLMError

Command = Callable[..., Any]


class OneLineError(click.ClickException):
    """An error that the user can mend: one line, exit code 2."""

    exit_code = 2


class Group(click.Group):
    """Turns errors of the package into one line; ``--debug`` lets the traceback through."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except OneHotGLMError as error:
            if ctx.find_root().meta.get("debug"):
                raise
            raise OneLineError(" ".join(str(error).split())) from error


def _remember_debug(ctx: click.Context, _: click.Parameter, value: bool) -> None:
    if value:
        ctx.find_root().meta["debug"] = True


def numbers(_: click.Context, __: click.Parameter, value: str | None) -> list[int] | None:
    """Read a list of numbers with commas between."""
    if value is None:
        return None
    try:
        return [int(number) for number in value.split(",")]
    except ValueError:
        raise click.BadParameter(f"{value!r} is no list of unit ids such as 0,3,7") from None


def options(*decorators: Command) -> Callable[[Command], Command]:
    """Several options as one decorator, shown in the order given."""

    def decorate(command: Command) -> Command:
        for decorator in reversed(decorators):
            command = decorator(command)
        return command

    return decorate


debug_option = click.option(
    "--debug",
    is_flag=True,
    expose_value=False,
    callback=_remember_debug,
    help="Show the traceback of an error.",
)
