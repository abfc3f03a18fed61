"""Which URLs may be called."""

import asyncio
import socket
from collections.abc import Sequence
from ipaddress import ip_address

import pytest

from pilothouse.errors import InvalidRequest
from pilothouse.webhooks.addresses import WebhookAddresses, WebhookFailed, WebhookRefused, is_public

PRIVATE = [
    "0.0.0.0",
    "10.0.0.1",
    "100.64.0.1",
    "127.0.0.1",
    "169.254.169.254",
    "172.16.0.1",
    "192.0.2.1",
    "192.168.1.1",
    "198.18.0.1",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::127.0.0.1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "64:ff9b::169.254.169.254",
    "64:ff9b:1::1",
    "2001::1",
    "2001:db8::1",
    "2002:a00:1::1",
    "fc00::1",
    "fd00:ec2::254",
    "fe80::1",
    "fec0::1",
    "ff02::1",
]
PUBLIC = ["1.1.1.1", "8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::8.8.8.8", "2002:808:808::1"]


def url_of(address: str, port: int = 443) -> str:
    host = f"[{address}]" if ":" in address else address
    return f"https://{host}:{port}/hook"


@pytest.mark.parametrize("address", PRIVATE)
def test_an_address_that_is_not_public_is_refused(address: str) -> None:
    with pytest.raises(InvalidRequest, match="is not public: name it in the setting webhook_hosts"):
        WebhookAddresses().check(url_of(address))


@pytest.mark.parametrize("address", PUBLIC)
def test_a_public_address_may_be_called(address: str) -> None:
    assert WebhookAddresses().check(url_of(address)).host == address


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("http://example.com/hook", "must be an https:// URL; for example.com, name it"),
        ("ftp://example.com", "must be a URL such as https://"),
        ("file:///etc/passwd", "must be a URL such as"),
        ("//example.com", "must be a URL such as"),
        ("example.com/hook", "must be a URL such as"),
        ("https:///hook", "must be a URL such as"),
        ("/ok", "must be a URL such as"),
        ("", "not a URL"),
        ("https://user:secret@example.com", "no user and password"),
        ("https://token@example.com", "no user and password"),
        ("https://example.com:0/", "port must be 1 to 65535"),
        ("https://example.com:99999/", "not a URL"),
        ("https://example.com:x/", "not a URL"),
        ("https://[::1/", "not a URL"),
        ("https://[fe80::1%25eth0]/", "not a URL|not a name|not public"),
        ("https://example.com/a b", "printable ASCII"),
        ("https://example.com\\@127.0.0.1/", "printable ASCII"),
        ("https://example.com/\n", "printable ASCII"),
        ("https://127。0。0。1/", "printable ASCII"),
        ("https://exämple.com/", "printable ASCII"),
        ("https://example.com/" + "x" * 2048, "at most 2048"),
        ("https://%31%32%37.0.0.1/", "not a name"),
        ("https://localhost/", "localhost is not public"),
        ("https://LOCALHOST./", "not public"),
        ("https://api.localhost/", "not public"),
        ("https://2130706433/", "four decimal numbers"),
        ("https://0x7f000001/", "four decimal numbers"),
        ("https://0x7f.1/", "four decimal numbers"),
        ("https://0177.0.0.1/", "four decimal numbers"),
        ("https://127.1/", "four decimal numbers"),
        ("https://127.0.0.1./", "four decimal numbers"),
        ("https://0/", "four decimal numbers"),
    ],
)
def test_what_is_no_url_to_call_is_refused_with_a_sentence(url: str, message: str) -> None:
    with pytest.raises(InvalidRequest, match=message) as caught:
        WebhookAddresses().check(url)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("allowed", "url", "may"),
    [
        ("localhost", "http://localhost:9000/x", True),
        ("LocalHost", "https://localhost/x", True),
        ("localhost:9000", "http://localhost:9000/x", True),
        ("localhost:9000", "http://localhost:9001/x", False),
        ("10.0.0.7", "http://10.0.0.7:81/", True),
        ("10.0.0.7", "http://10.0.0.70/", False),
        ("[::1]:80", "http://[::1]/", True),
        ("::1", "http://[::1]:8080/", True),
        ("hooks.internal", "http://evil.hooks.internal/", False),
        ("example.com", "http://user@example.com/", False),
    ],
)
def test_hosts_of_the_settings_may_be_private_and_plain(allowed: str, url: str, may: bool) -> None:
    addresses = WebhookAddresses([allowed])
    if may:
        assert addresses.check(url).trusted
    else:
        with pytest.raises(InvalidRequest):
            addresses.check(url)


def test_a_url_comes_apart_into_what_is_connected_to_and_what_is_asked_for() -> None:
    target = WebhookAddresses().check("https://Example.COM:8443/a/b?token=1#part")
    assert (target.host, target.port, target.path) == ("example.com", 8443, "/a/b?token=1")
    assert target.authority == "example.com:8443"
    assert WebhookAddresses().check("https://example.com").path == "/"
    assert WebhookAddresses().check("https://[2606:4700::1111]").authority == "[2606:4700::1111]"


def answering(*addresses: str) -> WebhookAddresses:
    async def resolve(host: str, port: int) -> Sequence[str]:
        return addresses

    return WebhookAddresses(resolve=resolve)


@pytest.mark.parametrize(
    "addresses", [["127.0.0.1"], ["8.8.8.8", "10.0.0.1"], ["8.8.8.8", "::1"], ["169.254.169.254"]]
)
def test_a_name_with_any_address_that_is_not_public_is_refused(addresses: list[str]) -> None:
    name = answering(*addresses)
    with pytest.raises(WebhookRefused, match=r"hooks\.example has an address that is not public"):
        asyncio.run(name.resolve(name.check("https://hooks.example")))


def test_this_machines_own_name_is_refused() -> None:
    name = socket.gethostname()
    try:
        found = socket.gethostbyname(name)
    except OSError:
        pytest.skip(f"this machine's name {name} has no address")
    if is_public(ip_address(found)):
        pytest.skip(f"this machine's name {name} has a public address")
    addresses = WebhookAddresses()
    with pytest.raises((WebhookRefused, InvalidRequest), match="not public"):
        asyncio.run(addresses.resolve(addresses.check(f"https://{name}")))


def test_a_name_that_can_not_be_looked_up_now_may_be_later() -> None:
    addresses = WebhookAddresses()
    with pytest.raises(WebhookFailed, match=r"nowhere\.invalid can't be looked up"):
        asyncio.run(addresses.resolve(addresses.check("https://nowhere.invalid")))
    with pytest.raises(WebhookFailed, match="no address"):
        asyncio.run(answering().resolve(answering().check("https://hooks.example")))
