"""`make redis`: redis-cli at the portal's Redis, or the part of it that a look needs."""

import argparse
import contextlib
import os
import shlex
import shutil
import sys
from typing import Any, NoReturn

import redis
from common.pyportal_common.cache_handlers import RedisSettings

from .portal import LocalSettings

_STREAMS = {"monitor", "subscribe", "psubscribe"}


def redis_cli(words: list[str], settings: LocalSettings) -> int:
    """Send one command, or ask for commands when there is none. Returns the exit status."""
    where = RedisSettings.load(url=settings.url_of_redis, _env_file=None)
    options = where.connection_options(where.database())
    program = shutil.which("redis-cli")
    if program is not None:
        _become(program, options, words)
    parser = argparse.ArgumentParser(prog="make redis", usage="make redis args='[-n DB] [COMMAND]'")
    parser.add_argument("-n", type=int, default=options["db"], metavar="DB")
    parser.add_argument("command", nargs=argparse.REMAINDER)
    given = parser.parse_args(words)
    options |= {"db": given.n, "encoding_errors": "replace", "socket_timeout": None}
    pool = redis.ConnectionPool(**options)
    try:
        connection = pool.get_connection()
        return _send(connection, given.command) if given.command else _prompt(connection)
    except (redis.RedisError, OSError) as error:
        print(f"Could not use Redis at {where.address}: {error}", file=sys.stderr)
        return 1
    finally:
        pool.disconnect()


def _become(program: str, options: dict[str, Any], words: list[str]) -> NoReturn:
    """Go on as redis-cli. The password goes by the environment: command lines can be seen."""
    if "path" in options:
        where = ["-s", options["path"]]
    else:
        where = ["-h", options["host"], "-p", str(options["port"])]
    if options.get("username"):
        where += ["--user", options["username"]]
    if options.get("connection_class") is redis.SSLConnection:
        where.append("--tls")
    environment = {**os.environ, "REDISCLI_AUTH": options.get("password") or ""}
    if not environment["REDISCLI_AUTH"]:
        del environment["REDISCLI_AUTH"]
    os.execve(program, [program, *where, "-n", str(options["db"]), *words], environment)


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
