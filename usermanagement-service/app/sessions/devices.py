"""Devices and networks of logins, as users recognise them."""

import ipaddress

from ua_parser import parse_os, parse_user_agent

from common.pyportal_common.web import client_network

UNKNOWN_DEVICE = "Unknown device"
UNKNOWN_NETWORK = "Unknown network"

_MAX_PARSED = 256  # characters: the patterns take up to 15 ms for as many
_MAX_LENGTH = 80


def device_of(user_agent: str | None) -> str:
    """The browser or program and the system of a User-Agent header: "Firefox on Linux"."""
    text = (user_agent or "")[:_MAX_PARSED]
    found = (parse_user_agent(text), parse_os(text))
    words = " on ".join(part.family for part in found if part is not None)
    return "".join(filter(str.isprintable, words))[:_MAX_LENGTH] or UNKNOWN_DEVICE


def coarse_network(address: str | None) -> str:
    """The /24 of an IPv4 address or the /48 of an IPv6 one: about a place, and not a person."""
    try:
        network = ipaddress.ip_network(client_network(address))
    except ValueError:
        return UNKNOWN_NETWORK
    return str(network.supernet(new_prefix=24 if network.version == 4 else 48))
