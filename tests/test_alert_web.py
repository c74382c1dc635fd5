import ssl
from collections.abc import Callable, Sequence

import pytest

from Live.alerts.web import MOST, NotSent, Refused, Web, addresses_of, is_public, trusted
from tests.receivers import web_receiver

OURS = ("127.0.0.1",)


def resolving(*answers: Sequence[str]) -> Callable[[str, int], Sequence[str]]:
    left = list(answers)
    return lambda host, port: left.pop(0)


@pytest.mark.parametrize(
    "address",
    """
    127.0.0.1 127.255.255.254 0.0.0.0 10.0.0.1 172.16.0.1 192.168.1.1 169.254.169.254 100.64.0.1 192.0.2.1 198.18.0.1 224.0.0.1
    240.0.0.1 255.255.255.255 ::1 :: fe80::1 fe80::1%eth0 fc00::1 fd12:3456::1 ff02::1 ::ffff:10.0.0.1 ::ffff:127.0.0.1
    2002:7f00:0001:: 2002:c0a8:0101:: 64:ff9b::10.0.0.1 64:ff9b::7f00:1 2001:db8::1 2001::1 100::1
    """.split(),
)
def test_an_address_that_is_not_of_the_open_internet_is_refused(address: str) -> None:
    assert not is_public(address)
    with pytest.raises(Refused, match=r"hook\.example is no machine of the open internet; name it in ALERT_PRIVATE_HOSTS"):
        Web(resolve=resolving([address])).send("https://hook.example/secret-path", b"{}")


@pytest.mark.parametrize("address", ["93.184.215.14", "8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::8.8.8.8"])
def test_an_address_of_the_open_internet_is_taken(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize("host", ["127.1", "0x7f000001", "2130706433", "0177.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]"])
def test_no_spelling_of_this_machine_is_taken_for_another(host: str) -> None:
    with web_receiver() as receiver:
        with pytest.raises((Refused, NotSent)):
            Web(private_hosts=("nas.local",)).send(f"https://{host}:{receiver.port}/hook", b"{}")
        assert receiver.received == []


def test_the_name_is_resolved_once_and_the_answer_that_was_looked_at_is_connected_to() -> None:
    """A name server that answers with another address the second time changes nothing: there is no second time."""
    with web_receiver() as receiver:
        web = Web(private_hosts=("nas.local",), resolve=resolving(["127.0.0.1"]))
        web.send(f"http://nas.local:{receiver.port}/hook?a=1", b"{}")
        assert receiver.received[0].headers["Host"] == f"nas.local:{receiver.port}"
        assert receiver.received[0].path == "/hook?a=1"


def test_of_several_addresses_only_a_public_one_is_connected_to() -> None:
    web = Web(resolve=resolving(["10.0.0.1", "127.0.0.1", "192.0.2.1"]))
    with pytest.raises(Refused):
        web.send("https://mixed.example/", b"")
    assert Web(resolve=resolving(["10.0.0.1", "8.8.8.8"]))._address("mixed.example", 443) == "8.8.8.8"


def test_without_https_only_a_machine_of_ones_own_is_spoken_to() -> None:
    with pytest.raises(Refused, match=r"93\.184\.215\.14: want https"):
        Web().send("http://93.184.215.14/", b"")


@pytest.mark.parametrize(
    ("behaviour", "sentence"),
    [
        ("hang", "127.0.0.1: no answer in time"),
        ("drip", "127.0.0.1: no answer in time"),
        ("cut", "127.0.0.1: no proper answer"),
        ("nonsense", "127.0.0.1: no proper answer"),
    ],
)
def test_an_endpoint_that_does_not_answer_is_left_with_one_sentence(behaviour: str, sentence: str) -> None:
    with web_receiver(behaviour) as receiver:
        with pytest.raises(NotSent) as caught:
            Web(OURS, whole_seconds=0.5).send(f"{receiver.url}/secret-path?key=secret", b"{}")
        assert str(caught.value).startswith(sentence)
        assert "secret" not in str(caught.value)
        assert caught.value.__cause__ is None


def test_a_redirect_is_not_followed() -> None:
    with web_receiver("redirect") as receiver, pytest.raises(Refused, match="sends us elsewhere"):
        Web(OURS).send(receiver.url, b"{}")


def test_of_a_huge_answer_the_beginning_is_read_and_the_rest_is_left() -> None:
    with web_receiver("huge") as receiver:
        assert len(Web(OURS).send(receiver.url, b"{}").body) == MOST


def test_a_machine_that_is_not_there_is_told_of() -> None:
    with pytest.raises(NotSent, match=r"127\.0\.0\.1: Connection refused"):
        Web(OURS).send("http://127.0.0.1:1/", b"")
    with pytest.raises(NotSent, match=r"nowhere\.invalid: no such machine"):
        Web().send("https://nowhere.invalid/secret-path", b"")


def test_a_proxy_of_the_environment_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    with web_receiver() as receiver, web_receiver() as proxy:
        for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "all_proxy"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        Web(OURS).send(receiver.url, b"{}")
        assert (len(receiver.received), proxy.received) == (1, [])


def test_a_user_and_password_in_the_address_go_into_a_header() -> None:
    with web_receiver() as receiver:
        Web(OURS).send(receiver.url.replace("//", "//me:p%40ss@"), b"{}")
        assert receiver.received[0].headers["Authorization"] == "Basic bWU6cEBzcw=="
        assert "@" not in receiver.received[0].headers["Host"]


def test_certificates_are_asked_for() -> None:
    context = trusted()
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)
    with web_receiver("nonsense") as receiver, pytest.raises(NotSent, match=r"127\.0\.0\.1: "):
        Web(OURS, whole_seconds=5).send(receiver.url.replace("http:", "https:"), b"{}")


def test_this_machine_is_found_by_its_name() -> None:
    assert set(addresses_of("localhost", 80)) & {"127.0.0.1", "::1"}
