"""The addresses of sentinels, as variables and URLs have them."""

from dataclasses import dataclass
from typing import Self
from urllib.parse import unquote, urlsplit

_PORT = 26379

Address = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Sentinels:
    """The addresses of sentinels, and the name that they have for the master."""

    addresses: tuple[Address, ...]
    master: str

    @classmethod
    def parse(cls, text: str, master: str) -> Self:
        """Those of a text such as `host:26379,[::1]:26380`. Raises ValueError."""
        addresses = tuple(_address(part.strip()) for part in text.split(","))
        return cls(addresses, master)

    def __str__(self) -> str:
        return f"{self.master} of sentinels {','.join(map(text_of, self.addresses))}"


@dataclass(frozen=True, slots=True)
class SentinelUrl:
    """A URL such as `redis+sentinel://user:password@host1:26379,host2:26379/mymaster/0`."""

    hosts: str
    master: str
    plain: str
    """A `redis://` or `rediss://` URL with the rest, for redis-py."""

    @classmethod
    def parse(cls, url: str) -> Self | None:
        """The parts of such a URL; None if it is another one. Raises ValueError."""
        kind, _, rest = url.partition("://")
        if kind not in {"redis+sentinel", "rediss+sentinel"}:
            return None
        place, mark, query = rest.partition("?")
        netloc, _, path = place.partition("/")
        account, at, hosts = netloc.rpartition("@")
        if "@" in account:
            raise ValueError("one account is for all servers, and an @ in a password must be %40")
        master, slash, database = path.rstrip("/").partition("/")
        if not slash and master.isascii() and master.isdigit():  # the name is left out
            master, slash, database = "", "/", master
        if database and not (database.isascii() and database.isdigit()):
            raise ValueError(
                "the path must be the name of the master and the number of the database, as in"
                " redis+sentinel://host:26379/mymaster/0"
            )
        Sentinels.parse(hosts, "")
        scheme = kind.partition("+")[0]
        plain = f"{scheme}://{account}{at}sentinel{slash}{database}{mark}{query}"
        return cls(hosts, unquote(master), plain)


def _address(text: str) -> Address:
    try:
        parts = urlsplit(f"//{text}")
        host, port = parts.hostname or "", _PORT if parts.port is None else parts.port
        require_host(host)
    except ValueError:
        port = 0
    if not port or parts.netloc != text or "@" in text:
        raise ValueError("must be host:port of each sentinel, as in host1:26379,host2:26379")
    return host, port


def require_host(host: str) -> None:
    """Raise ValueError if it is no host name or address. It need not be known."""
    try:
        encoded = host.encode("idna")
    except UnicodeError:
        encoded = b""
    if not encoded or encoded.split() != [encoded]:
        raise ValueError("must be a host name or an address")


def text_of(address: Address) -> str:
    """The address as `host:port`."""
    host, port = address
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
