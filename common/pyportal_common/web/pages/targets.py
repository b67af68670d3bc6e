"""Where a page to log in may lead: to pages of the portal on the same host, on any port."""

import re
from urllib.parse import SplitResult, urlsplit

_DOTS = re.compile(r"(^|/)(\.|%2e){1,2}(/|$)", re.IGNORECASE)  # which browsers resolve
_PRINTABLE = re.compile(r"[!-\[\]-~]{1,2000}")  # ASCII without spaces and backslashes


def allowed_target(wanted: str, host_url: str, paths: re.Pattern[str]) -> str | None:
    """The URL or path to go to; None if it is not one of `paths` on the host of `host_url`.

    Cookies are for a host and all its ports, so all its pages get the new session anyway.
    """
    if not _PRINTABLE.fullmatch(wanted):
        return None
    try:
        parts = urlsplit(wanted)
        own = urlsplit(host_url)
        port = parts.port
    except ValueError:
        return None
    if not paths.match(parts.path) or _DOTS.search(parts.path) or parts.fragment:
        return None
    path = parts.path + (f"?{parts.query}" if parts.query else "")
    if not parts.scheme and not parts.netloc:
        return path
    if not _is_same_host(parts, own):
        return None
    host = f"[{own.hostname}]" if ":" in (own.hostname or "") else own.hostname
    # Built of what was checked: browsers may read the text in another way than Python does.
    return f"{own.scheme}://{host}" + (f":{port}" if port is not None else "") + path


def origin_of(target: str) -> str:
    """The origin of an allowed target; nothing if it is a path."""
    parts = urlsplit(target)
    return f"{parts.scheme}://{parts.netloc}" if parts.netloc else ""


def _is_same_host(parts: SplitResult, own: SplitResult) -> bool:
    return (
        parts.scheme == own.scheme
        and parts.hostname == own.hostname
        and "@" not in parts.netloc
        and parts.hostname is not None
    )
