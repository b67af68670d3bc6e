"""The addresses that rate limits count."""

import ipaddress
import re
from functools import lru_cache


@lru_cache(maxsize=4096)
def client_network(address: str | None) -> str:
    """The client's IPv4 address, or the /64 network of its IPv6 address.

    A host with one IPv6 address usually has all 2^64 of its network. A port that a proxy added is
    removed. All values that are not addresses count as one client.
    """
    bare = re.sub(r"^\[(.*)\](:\d+)?$|^([\d.]+):\d+$", r"\1\3", address or "")
    try:
        ip = ipaddress.ip_address(bare.split("%")[0])
    except ValueError:
        return "unknown"
    if isinstance(ip, ipaddress.IPv4Address):
        return str(ip)
    if ip.ipv4_mapped is not None:
        return str(ip.ipv4_mapped)
    return str(ipaddress.ip_network((ip, 64), strict=False))
