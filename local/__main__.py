"""`python -m local COMMAND`, as the Makefile runs it. `args` and `service` are variables."""

import logging
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from common.pyportal_common.settings import exit_if_misconfigured

from . import acl, clients
from .portal import LocalSettings, environment, running_settings, service_named
from .processes import exclusive
from .redis_cli import redis_cli
from .run import run
from .seed import seed

_SHELL = "from local.shell import prompt_names; globals().update(prompt_names()); del prompt_names"


def main() -> int:
    """Run the command. Returns the exit status."""
    logging.getLogger().addHandler(logging.NullHandler())  # the commands print
    match sys.argv[1:]:
        case ["run"]:
            return run()
        case ["redis"]:
            return redis_cli(_arguments(), running_settings())
        case ["flask"] if not os.environ.get("service"):  # noqa: SIM112
            return _list_commands()
        case ["flask"]:
            return _in_service(["-m", "flask", "--app", "wsgi", *_arguments()])
        case ["shell"]:
            return _in_service(["-q", "-i", "-c", _SHELL])
        case ["seed"]:
            return seed(running_settings())
        case ["acl"]:
            return acl.write()
        case ["clients"]:
            return clients.write()
        case ["reset"]:
            return _reset(LocalSettings.load())
        case _:
            sys.exit("usage: python -m local run|seed|redis|flask|shell|acl|clients|reset")


def _arguments() -> list[str]:
    try:
        return shlex.split(os.environ.get("args", ""))  # noqa: SIM112  as typed after make
    except ValueError as error:
        sys.exit(f"args: {error}")


def _in_service(arguments: list[str]) -> int:
    settings = running_settings()
    service = service_named(os.environ.get("service", ""), settings)  # noqa: SIM112
    values = environment(settings, service)
    os.chdir(service.folder)
    os.execve(sys.executable, [sys.executable, *arguments], values)


def _list_commands() -> int:
    """List the commands of all services, side by side. This needs no data and no server."""
    with tempfile.TemporaryDirectory() as data:
        services = LocalSettings.load().services
        started = [_start_help(service.folder, data) for service in services]
        for service, process in zip(services, started, strict=True):
            shown, _ = process.communicate()
            if process.returncode:
                return process.returncode
            print(f'make flask service={service.name} args="… --help"')
            print(shown.partition("Commands:\n")[2])
    return 0


def _start_help(folder: Path, data: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "flask", "--app", "wsgi", "--help"]
    values = {**os.environ, "DATA_DIR": data}
    return subprocess.Popen(command, cwd=folder, env=values, stdout=subprocess.PIPE, text=True)


def _reset(settings: LocalSettings) -> int:
    if not settings.marker.exists():
        sys.exit(f"{settings.data_dir} is not the data folder of a portal.")
    settings.run_dir.mkdir(exist_ok=True)
    with exclusive(settings, wait=False):
        _delete_data(settings)
    print(f"Deleted the portal's data in {settings.data_dir}.")
    return 0


def _delete_data(settings: LocalSettings) -> None:
    data = settings.data_dir
    for pattern in ("redis", "redis-*", "valkey", "valkey-*", "logs", "run", "mail"):
        for folder in data.glob(pattern):
            shutil.rmtree(folder, ignore_errors=True)
    for service in settings.services:
        for file in data.glob(f"{service.name}.sqlite3*"):
            file.unlink()
    for name in ("secrets.json", "secrets.new"):
        (data / name).unlink(missing_ok=True)
    settings.marker.unlink()


if __name__ == "__main__":
    with exit_if_misconfigured():
        sys.exit(main())
