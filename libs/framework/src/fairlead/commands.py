"""Commands of an application's own: `@app.command`, run by `fairlead exec MODULE:NAME COMMAND --name=value`.

A command is a function, plain or async, that takes keyword arguments; one whose first parameter is called `app` is given the
application. What comes from the command line is text, turned into the type that the parameter is annotated with, or that its
default has: int, float, bool, or a list of these (the option is then given several times). Wrong input is one line and exit 2.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Sequence
from typing import Any, get_type_hints

import msgspec

from fairlead.errors import CommandError
from fairlead.hint import did_you_mean

Command = Callable[..., Any]


class Commands:
    """The commands of one application, by name."""

    def __init__(self) -> None:
        self._commands: dict[str, Command] = {}

    def add(self, command: Command, name: str = "") -> None:
        """Register a command under its own name or another. Raises ValueError for a name that is taken."""
        name = name or command.__name__
        if name in self._commands:
            raise ValueError(f"there are two commands named {name!r}")
        self._commands[name] = command

    def __iter__(self) -> Iterator[str]:
        return iter(self._commands)

    def __len__(self) -> int:
        return len(self._commands)

    def describe(self) -> list[tuple[str, str]]:
        """Each command as it is called, and the first line of its docstring."""
        return [(_usage(name, command), _first_line(command)) for name, command in self._commands.items()]

    async def run(self, app: Any, name: str, words: Sequence[str] = ()) -> Any:
        """Call a command with `--name=value` words; returns what it returns. Raises `CommandError` for wrong input."""
        command = self._commands.get(name)
        if command is None:
            known = ", ".join(self._commands) or "none"
            hint = did_you_mean(name, self._commands) or f"; there are: {known}"
            raise CommandError(f"{app.name} has no command {name!r}{hint}")
        arguments = _arguments(name, command, words)
        result = command(app, **arguments) if _takes_app(command) else command(**arguments)
        return await result if inspect.isawaitable(result) else result


def text_of(result: Any) -> str:
    """What a command returned, to be shown: text as it is, anything else as JSON, nothing for None."""
    if result is None or isinstance(result, str):
        return result or ""
    return msgspec.json.encode(result, enc_hook=str).decode()


def _parameters(command: Command) -> dict[str, inspect.Parameter]:
    parameters = dict(inspect.signature(command).parameters)
    if _takes_app(command):
        del parameters["app"]
    return parameters


def _takes_app(command: Command) -> bool:
    return next(iter(inspect.signature(command).parameters), "") == "app"


def _arguments(name: str, command: Command, words: Sequence[str]) -> dict[str, Any]:
    parameters = _parameters(command)
    given: dict[str, list[str]] = {}
    for word in words:
        option, found, value = word.removeprefix("--").partition("=")
        if not word.startswith("--") or not option:
            raise CommandError(f"{name}: {word!r} is not of the form --name=value")
        given.setdefault(option.replace("-", "_"), []).append(value if found else "true")
    takes_all = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values())
    unknown = [] if takes_all else [option for option in given if option not in parameters]
    missing = [
        parameter.name
        for parameter in parameters.values()
        if parameter.default is parameter.empty
        and parameter.kind not in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL)
        and parameter.name not in given
    ]
    if unknown or missing:
        options = [f"--{name}" for name in parameters]
        wrong = [f"there is no --{option}{did_you_mean(f'--{option}', options)}" for option in unknown]
        wrong += [f"--{option} is missing" for option in missing]
        raise CommandError(f"{name}: {', '.join(wrong)} (usage: {_usage(name, command)})")
    hints = get_type_hints(command)
    return {option: _converted(name, option, texts, hints.get(option), parameters.get(option)) for option, texts in given.items()}


def _converted(name: str, option: str, texts: list[str], hint: Any, parameter: inspect.Parameter | None) -> Any:
    if hint is None and parameter is not None and parameter.default not in (None, parameter.empty):
        hint = type(parameter.default)
    try:
        return msgspec.convert(texts, hint or str, strict=False)
    except msgspec.ValidationError:
        pass  # it takes no list
    if len(texts) > 1:
        raise CommandError(f"{name}: --{option} was given more than once")
    try:
        return msgspec.convert(texts[0], hint or str, strict=False)
    except msgspec.ValidationError as error:
        raise CommandError(f"{name}: --{option}={texts[0]}: {error}") from None


def _usage(name: str, command: Command) -> str:
    words = [name]
    for parameter in _parameters(command).values():
        if parameter.kind is parameter.VAR_KEYWORD:
            words.append("[--name=value …]")
        elif parameter.default is parameter.empty:
            words.append(f"--{parameter.name}=…")
        else:
            words.append(f"[--{parameter.name}={parameter.default}]")
    return " ".join(words)


def _first_line(command: Command) -> str:
    return (inspect.getdoc(command) or "").partition("\n")[0]
