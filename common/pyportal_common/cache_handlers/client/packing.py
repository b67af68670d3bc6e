"""Packs commands, with the odd bytes that were read from Redis."""

from typing import Any

from redis.connection import HiredisRespSerializer


class CommandPacker(HiredisRespSerializer):
    """hiredis, which encodes strictly, for strings that were decoded with `surrogateescape`."""

    def pack(self, *args: Any) -> Any:
        """Pack a command. UnicodeEncodeError for other lone surrogates."""
        try:
            return super().pack(*args)
        except UnicodeEncodeError:
            octets = [_encoded(arg) for arg in args]
            return super().pack(*octets)


def _encoded(arg: Any) -> Any:
    return arg.encode(errors="surrogateescape") if isinstance(arg, str) else arg
