"""Which URLs may be called: those of the public internet, over https, and what the settings allow beside.

A server that calls any URL it is told to would reach what only it can: the metadata of the cloud, the database, the neighbour's
admin page. What is plain from the URL is refused when the run is created. A name is looked up when the webhook is sent,
and every address that it has must be public; the connection then goes to an address that was checked.
"""

import asyncio
import re
import socket
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from urllib.parse import urlsplit

from pilothouse.errors import InvalidRequest, PilothouseError

Address = IPv4Address | IPv6Address
Resolve = Callable[[str, int], Awaitable[Sequence[str]]]

_LONGEST = 2048
_PRINTABLE = re.compile(r"[!-\[\]-~]+")  # ASCII without space and backslash
_NAME = re.compile(r"[a-z0-9_]([a-z0-9_.-]*[a-z0-9_])?\.?")
_NUMBER = re.compile(r"(0x[0-9a-f]*|[0-9]+)\.?")
_TRANSLATED = (IPv6Network("64:ff9b::/96"), IPv6Network("::/96"))  # the last 32 bits are an IPv4 address
_NOT_PUBLIC = (IPv6Network("64:ff9b:1::/48"), IPv6Network("fec0::/10"))


class WebhookRefused(PilothouseError):
    """The webhook may not be called, now or later."""

    code = "webhook_refused"


class WebhookFailed(PilothouseError):
    """The webhook could not be delivered this time."""

    code = "webhook_failed"
    retryable = True


@dataclass(frozen=True)
class Target:
    """A URL that may be called, in its parts. `host` is a name or an address without brackets."""

    scheme: str
    host: str
    port: int
    path: str
    """With the query."""
    trusted: bool
    """The settings name it: its addresses may be private."""

    @property
    def authority(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"


_PORTS = {"http": 80, "https": 443}


async def look_up(host: str, port: int) -> Sequence[str]:
    """The system's resolver. Raises `OSError`."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


class WebhookAddresses:
    """`allowed` holds hosts, or `host:port`, that may be private and may be called over http."""

    def __init__(self, allowed: Collection[str] = (), resolve: Resolve = look_up) -> None:
        self._allowed = {name.lower() for name in allowed}
        self._resolve = resolve

    def check(self, url: str) -> Target:
        """The parts of a URL that may be called, as far as the URL alone tells. Raises `InvalidRequest`."""
        if len(url) > _LONGEST or not _PRINTABLE.fullmatch(url):
            raise InvalidRequest(
                f"The webhook is not a URL: at most {_LONGEST} printable ASCII characters, without spaces."
            )
        try:
            parts = urlsplit(url)
            scheme, host, port = parts.scheme, parts.hostname or "", parts.port
        except ValueError as error:
            raise InvalidRequest(f"The webhook is not a URL: {error}.") from error
        if scheme not in _PORTS or not host:
            raise InvalidRequest("The webhook must be a URL such as https://example.com/hook.")
        if parts.username is not None or parts.password is not None:
            raise InvalidRequest(
                "The webhook must have no user and password in its URL: receivers verify the signature."
            )
        if port == 0:
            raise InvalidRequest("The webhook's port must be 1 to 65535.")
        port = _PORTS[scheme] if port is None else port
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        target = Target(scheme, host, port, path, self._is_allowed(host, port))
        if not target.trusted:
            _check_public(target)
        return target

    def _is_allowed(self, host: str, port: int) -> bool:
        name = f"[{host}]" if ":" in host else host
        return not self._allowed.isdisjoint({host, name, f"{name}:{port}"})

    async def resolve(self, target: Target) -> Sequence[str]:
        """The addresses to connect to. Raises `WebhookRefused` if one is not public, `WebhookFailed` if there is none."""
        try:
            found = await self._resolve(target.host, target.port)
        except OSError as error:
            raise WebhookFailed(f"The name {target.host} can't be looked up: {error}") from error
        if not found:
            raise WebhookFailed(f"The name {target.host} has no address.")
        if not target.trusted and not all(is_public(ip_address(address)) for address in found):
            raise WebhookRefused(f"{target.host} has an address that is not public: {_ADVICE}")
        return found


_ADVICE = "name it in the setting webhook_hosts if it may be called all the same."


def _check_public(target: Target) -> None:
    """Raises `InvalidRequest` for what needs no looking up."""
    host = target.host
    if target.scheme != "https":
        raise InvalidRequest(f"The webhook must be an https:// URL; for {host}, {_ADVICE}")
    try:
        address = ip_address(host)
    except ValueError:
        _check_name(host)
        return
    if not is_public(address):
        raise InvalidRequest(f"The webhook's address {host} is not public: {_ADVICE}")


def _check_name(host: str) -> None:
    if not _NAME.fullmatch(host):
        raise InvalidRequest(
            "The webhook's host is not a name: write one of another script in its xn-- form."
        )
    if _NUMBER.fullmatch(host.removesuffix(".").rpartition(".")[2]):
        raise InvalidRequest("The webhook's host must be a name, or an address of four decimal numbers.")
    name = host.removesuffix(".")
    if name == "localhost" or name.endswith(".localhost"):
        raise InvalidRequest(f"The webhook's host {host} is not public: {_ADVICE}")


def is_public(address: Address) -> bool:
    """Whether an address is of the public internet, and so is the IPv4 address that it may carry."""
    if isinstance(address, IPv6Address):
        if any(address in network for network in _NOT_PUBLIC):
            return False
        if (inner := _carried(address)) is not None:
            return is_public(inner)
    return address.is_global and not address.is_multicast


def _carried(address: IPv6Address) -> IPv4Address | None:
    if address.ipv4_mapped or address.sixtofour:
        return address.ipv4_mapped or address.sixtofour
    if any(address in network for network in _TRANSLATED):
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return None
