"""Runs `circle`: finds the commands, and turns an error into one line and an exit code.

Exit codes: 0 done, 1 a check failed, 2 usage, 3 a service cannot be reached, 130 interrupted.
"""

import gc
import os
import sys

if not (3, 11) <= sys.version_info[:2] < (3, 13):
    sys.exit(
        f"error: Python 3.11 or 3.12 is needed (Bytewax has no wheels for others), this is {sys.version.split()[0]}"
    )

from connectors import logs
from connectors.errors import CircleError
from ops.run import discovery as found
from schemas.twins import StaleTwin

EXIT_INTERRUPTED = 130
EXIT_STALE = 1
LOGGING = frozenset({"api", "pipeline"})  # these write logs for an operator; the others answer a person
# A command loads the module that registers it and no other, so it starts two to three times as fast.
COMMANDS_OF = {
    "bench": "bench",
    "data": "kafka migrate topics",
    "demo": "demo",
    "dlq": "dlq",
    "doctor": "doctor",
    "env": "env",
    "keys": "keys",
    "locks": "locks",
    "payments": "payments",
    "processes": "api pipeline up",
    "replay": "explain replay seats verify",
    "rights": "rights",
    "size": "size",
    "tickets": "tickets",
    "top": "alerts top",
    "users": "users",
    "watch": "follow groups",
}
MODULE_OF = {command: module for module, commands in COMMANDS_OF.items() for command in commands.split()}


# A command that reads the history leaves the processors to the live platform: its weight is 36 against 1,024.
YIELDING = frozenset({"verify", "replay", "explain", "seats"})
NICENESS = 15
# A start makes some 300,000 objects, and they stay. To look for garbage every 700 objects takes 6 % of its CPU.
COLLECT_AFTER = (100_000, 20, 20)


def main(arguments: list[str] | None = None) -> None:
    """Runs one command and exits with its code."""
    gc.set_threshold(*COLLECT_AFTER)
    given = sys.argv[1:] if arguments is None else arguments
    words = _words(given)
    if words and words[0] in YIELDING and words[:2] != ["replay", "load"]:
        os.nice(NICENESS)
    sys.exit(run(given))


def run(given: list[str]) -> int:
    """Runs one command and returns its exit code."""
    try:
        choice, arguments = found.take_options(given)
    except CircleError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    found.chosen.set(choice)
    if not arguments or arguments[0] not in LOGGING:
        logs.hush("rdkafka")
    try:
        result = _done(arguments)
    except CircleError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except StaleTwin as error:
        print(f"error: {error}", file=sys.stderr)
        return EXIT_STALE
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        # The reader of our output has gone, as in `circle … | head`. The buffered rest has no reader.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        from connectors.kafka_clients import refused_right  # which takes a tenth of a second

        if (refused := refused_right(error)) is not None:
            print(f"error: {refused}", file=sys.stderr)
            return refused.exit_code
        # Wrong usage. The error of typer's command line library can show itself and has its exit code.
        show, code = getattr(error, "show", None), getattr(error, "exit_code", None)
        if show is None or not isinstance(code, int):
            raise
        show()
        return code
    return result if isinstance(result, int) and not isinstance(result, bool) else 0


def _done(arguments: list[str]) -> object:
    """Does what the arguments say, and returns its result."""
    if arguments and arguments[0] in LOGGING:
        from ops.run.processes import named_by

        process = named_by(arguments)
        if process is not None:
            return process()
    import typer  # a process of the platform starts without it

    from ops.cli.app import circle

    only = MODULE_OF.get(arguments[0]) if arguments else None
    try:
        return circle(only).main(arguments, prog_name="circle", standalone_mode=False)
    except typer.Abort:
        return EXIT_INTERRUPTED


def _words(given: list[str]) -> list[str]:
    try:
        return found.take_options(given)[1]
    except CircleError:
        return given  # `run` tells of it


if __name__ == "__main__":
    main()
