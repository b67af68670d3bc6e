"""`make redis`: redis-cli, or a minimal built-in substitute, on the portal's Redis."""

import argparse
import contextlib
import os
import shlex
import shutil
import sys
from typing import Any, NoReturn

import redis

from common.pyportal_common.cache_handlers import RedisSettings, master_of

from .portal import LocalSettings

_STREAMS = {"monitor", "subscribe", "psubscribe"}


def redis_cli(arguments: list[str], settings: LocalSettings) -> int:
    """Send the command in `arguments`, or open a prompt. Returns the exit status."""
    server = RedisSettings.load(url=settings.effective_redis_url, _env_file=None)
    options = server.connection_options(server.database())
    master = master_of(server)
    if master is not None:
        try:
            options["host"], options["port"] = master.find()
        except redis.RedisError as error:
            print(f"Redis at {server.address} is unavailable: {error}", file=sys.stderr)
            return 1
    program = shutil.which("redis-cli")
    if program is not None:
        _exec(program, options, arguments)
    parser = argparse.ArgumentParser(prog="make redis", usage="make redis args='[-n DB] [COMMAND]'")
    parser.add_argument("-n", type=int, default=options["db"], metavar="DB")
    parser.add_argument("command", nargs=argparse.REMAINDER)
    parsed = parser.parse_args(arguments)
    options |= {"db": parsed.n, "encoding_errors": "replace", "socket_timeout": None}
    pool = redis.ConnectionPool(**options)
    try:
        connection = pool.get_connection()
        return _send(connection, parsed.command) if parsed.command else _prompt(connection)
    except (redis.RedisError, OSError) as error:
        print(f"Redis at {server.address} is unavailable: {error}", file=sys.stderr)
        return 1
    finally:
        pool.disconnect()


def _exec(program: str, options: dict[str, Any], arguments: list[str]) -> NoReturn:
    """Replace this process by redis-cli. Other users can see command lines, but not passwords."""
    if "path" in options:
        address = ["-s", options["path"]]
    else:
        address = ["-h", options["host"], "-p", str(options["port"])]
    if options.get("username"):
        address += ["--user", options["username"]]
    if tls := options.get("tls"):
        files = {"--cacert": tls.ca_file, "--cert": tls.cert_file, "--key": tls.key_file}
        given = ((option, str(file)) for option, file in files.items() if file is not None)
        address += ["--tls", *(word for pair in given for word in pair)]
    environment = {**os.environ, "REDISCLI_AUTH": options.get("password") or ""}
    if not environment["REDISCLI_AUTH"]:
        del environment["REDISCLI_AUTH"]
    os.execve(program, [program, *address, "-n", str(options["db"]), *arguments], environment)


def _prompt(connection: Any) -> int:
    with contextlib.suppress(ImportError):
        import readline  # noqa: F401  adds a history to input()
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
        print(_formatted(connection.read_response()), flush=True)
        with contextlib.suppress(KeyboardInterrupt):
            while words[0].lower() in _STREAMS:
                print(_formatted(connection.read_response()), flush=True)
    except redis.ResponseError as error:
        print(f"(error) {error}")
        return 1
    return 0


def _formatted(answer: Any, indent: str = "") -> str:
    if not sys.stdout.isatty():
        return "\n".join(map(_formatted, answer)) if isinstance(answer, list) else _raw(answer)
    if answer is None:
        return "(nil)"
    if isinstance(answer, int):
        return f"(integer) {answer}"
    if isinstance(answer, list):
        lines = (f"{n}) {_formatted(item, indent + '   ')}" for n, item in enumerate(answer, 1))
        return f"\n{indent}".join(lines) if answer else "(empty array)"
    return '"' + str(answer).replace("\\", "\\\\").replace('"', '\\"') + '"'


def _raw(answer: Any) -> str:
    return "" if answer is None else str(answer)
