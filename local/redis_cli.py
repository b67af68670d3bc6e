"""`make redis`: redis-cli at the portal's Redis, or the part of it that a look needs."""

import argparse
import contextlib
import os
import shlex
import shutil
import sys
from typing import Any

from redis.connection import parse_url

import redis

from .portal import LocalSettings

_STREAMS = {"monitor", "subscribe", "psubscribe"}


def redis_cli(words: list[str], settings: LocalSettings) -> int:
    """Send one command, or ask for commands when there is none. Returns the exit status."""
    program = shutil.which("redis-cli")
    if program is not None:
        os.execv(program, [program, "-u", settings.url_of_redis, *words])
    parser = argparse.ArgumentParser(prog="make redis", add_help=False)
    parser.add_argument("-n", type=int, default=None, metavar="DB")
    parser.add_argument("command", nargs=argparse.REMAINDER)
    given = parser.parse_args(words)
    options = parse_url(settings.url_of_redis)
    if given.n is not None:
        options["db"] = given.n
    pool = redis.ConnectionPool(
        decode_responses=True, encoding_errors="replace", protocol=2, **options
    )
    connection = pool.get_connection()
    try:
        if given.command:
            return _send(connection, given.command)
        return _prompt(connection)
    except redis.ConnectionError as error:
        print(f"Could not connect: {error}", file=sys.stderr)
        return 1
    finally:
        connection.disconnect()


def _prompt(connection: Any) -> int:
    with contextlib.suppress(ImportError):
        import readline  # noqa: F401  gives input() a history
    while True:
        try:
            words = shlex.split(input("redis> "))
        except (EOFError, KeyboardInterrupt):
            print()
            return 0
        except ValueError as error:
            print(f"(error) {error}")
            continue
        if words and words[0].lower() in {"exit", "quit"}:
            return 0
        if words:
            _send(connection, words)


def _send(connection: Any, words: list[str]) -> int:
    connection.send_command(*words)
    try:
        print(_shown(connection.read_response()), flush=True)
        with contextlib.suppress(KeyboardInterrupt):
            while words[0].lower() in _STREAMS:
                print(_shown(connection.read_response()), flush=True)
    except redis.ResponseError as error:
        print(f"(error) {error}")
        return 1
    return 0


def _shown(answer: Any, indent: str = "") -> str:
    if not sys.stdout.isatty():
        return "\n".join(map(_shown, answer)) if isinstance(answer, list) else _raw(answer)
    if answer is None:
        return "(nil)"
    if isinstance(answer, int):
        return f"(integer) {answer}"
    if isinstance(answer, list):
        lines = (f"{n}) {_shown(item, indent + '   ')}" for n, item in enumerate(answer, 1))
        return f"\n{indent}".join(lines) if answer else "(empty array)"
    return '"' + str(answer).replace("\\", "\\\\").replace('"', '\\"') + '"'


def _raw(answer: Any) -> str:
    return "" if answer is None else str(answer)
