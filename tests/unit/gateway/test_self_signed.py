"""Certificates of one's own: made once, for all hosts, readable by nobody else."""

import ssl
import sys
from pathlib import Path

import pytest
from cryptography import x509

from zetcd.base.errors import Refusal
from zetcd.gateway.self_signed import CERTIFICATE, KEY, ensure

HOSTS = ("127.0.0.1", "::1", "example.org", "127.0.0.1")


def shown(path: str) -> ssl.SSLContext:
    """A client that trusts it."""
    return ssl.create_default_context(cafile=path)


def test_it_is_for_its_hosts_and_stays(tmp_path: Path) -> None:
    directory = tmp_path / "fixtures/client"
    cert, key = ensure(directory, HOSTS, 3)
    made = x509.load_pem_x509_certificate(Path(cert).read_bytes())
    names = made.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["example.org"]
    assert [str(each) for each in names.get_values_for_type(x509.IPAddress)] == ["127.0.0.1", "::1"]
    assert (made.not_valid_after_utc - made.not_valid_before_utc).days == 3 * 365
    assert Path(key).stat().st_mode & 0o777 == 0o600
    before = Path(cert).read_bytes()
    assert ensure(directory, ("elsewhere",), 1) == (cert, key)
    assert Path(cert).read_bytes() == before
    assert sorted(path.name for path in directory.parent.iterdir()) == ["client"]


def test_a_handshake_with_it(tmp_path: Path) -> None:
    cert, key = ensure(tmp_path / "client", HOSTS, 1)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(cert, key)
    here, there = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = shown(cert).wrap_bio(here, there, server_hostname="example.org")
    ours = server.wrap_bio(there, here, server_side=True)
    for _ in range(3):
        for side in (client, ours):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
    assert client.version() == "TLSv1.3"


def test_another_process_was_faster(tmp_path: Path) -> None:
    directory = tmp_path / "client"
    directory.mkdir()
    (directory / KEY).write_text("half of it")
    with pytest.raises(Refusal, match=r"--auto-tls: .*not empty"):
        ensure(directory, HOSTS, 1)
    (directory / CERTIFICATE).write_text("the other half")
    assert ensure(directory, HOSTS, 1)[0].endswith(CERTIFICATE)
    assert [path.name for path in tmp_path.iterdir()] == ["client"]


def test_what_cannot_be_made_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Refusal, match="no certificate can be made for"):
        ensure(tmp_path / "a", ("h\u00f6st",), 1)
    monkeypatch.setitem(sys.modules, "cryptography", None)
    with pytest.raises(Refusal, match="pip install"):
        ensure(tmp_path / "b", HOSTS, 1)
    assert list(tmp_path.iterdir()) == []
