"""What paths of the admin API contain: names that are known, keys, and clients."""

from collections.abc import Iterable, Mapping

from werkzeug.routing import BaseConverter


class KeyConverter(BaseConverter):
    """`<key:key>`: a key in Redis. Slashes may be sent as they are or as %2F, but % is %25."""

    part_isolating = False
    regex = "[^:]+:.+"


class ClientConverter(BaseConverter):
    """`<client:client>`: whom limits count, such as user:7, 192.0.2.1 or 2001:db8::/64."""

    part_isolating = False
    regex = r"[^:]+:.+|\d{1,3}(?:\.\d{1,3}){3}|unknown|sha256=\w+"


CONVERTERS: Mapping[str, type[BaseConverter]] = {"key": KeyConverter, "client": ClientConverter}


def one_of(names: Iterable[str], variable: str) -> str:
    """A part of a path that is one of these names. Another one is a 404."""
    quoted = ",".join(f'"{name}"' for name in names)
    return f"<any({quoted}):{variable}>"
