"""Packs commands, with the odd bytes that were read from Redis."""

from typing import Any

from redis.connection import HiredisRespSerializer
from redis.utils import HIREDIS_AVAILABLE

if HIREDIS_AVAILABLE:
    import hiredis


def command_packer() -> "CommandPacker | None":
    """What packs commands. None without hiredis: redis-py packs them itself, and encodes them."""
    return CommandPacker() if HIREDIS_AVAILABLE else None


class CommandPacker(HiredisRespSerializer):
    """hiredis, which encodes strictly, for strings that were decoded with `surrogateescape`."""

    def pack(self, *args: Any) -> Any:
        """Pack a command. UnicodeEncodeError for other lone surrogates."""
        try:
            if isinstance(args[0], str) and " " not in args[0]:
                return [hiredis.pack_command(args)]
            return super().pack(*args)  # "CONFIG SET" is two words
        except UnicodeEncodeError:
            return super().pack(*map(_encoded, args))
        except TypeError:
            return super().pack(*args)  # converts a bytearray, or raises DataError


def _encoded(arg: Any) -> Any:
    return arg.encode(errors="surrogateescape") if isinstance(arg, str) else arg
