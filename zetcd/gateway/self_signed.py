"""`--auto-tls`: a certificate of the member's own, made at the first start that needs it, where etcd keeps its own.

Nobody has signed it but itself, so it hides what is said and proves nothing: clients cannot tell who answers.
"""

import datetime as dt
import ipaddress
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from zetcd.base.errors import Refusal

if TYPE_CHECKING:
    from cryptography import x509

CERTIFICATE, KEY = "cert.pem", "key.pem"
MISSING = (
    "it needs a library that makes certificates: pip install 'zetcd[auto-tls]', or give --cert-file and --key-file"
)


def ensure(directory: Path, hosts: Sequence[str], years: int) -> tuple[str, str]:
    """(certificate, key): file names in directory, which are made for hosts unless they are there. Raises Refusal."""
    if not (directory / CERTIFICATE).exists():
        try:
            certificate, key = make(hosts, years)
            _store(directory, certificate, key)
        except ImportError as error:
            raise Refusal(f"--auto-tls: {MISSING}") from error
        except ValueError as error:
            raise Refusal(f"--auto-tls: no certificate can be made for {', '.join(hosts)}: {error}") from error
        except OSError as error:
            raise Refusal(f"--auto-tls: {directory}: {error.strerror or error}") from error
    return str(directory / CERTIFICATE), str(directory / KEY)


def _store(directory: Path, certificate: bytes, key: bytes) -> None:
    """Both files appear at once: another gateway process may be doing the same."""
    directory.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    made = Path(tempfile.mkdtemp(dir=directory.parent))
    try:
        (made / CERTIFICATE).write_bytes(certificate)
        (made / KEY).touch(0o600)
        (made / KEY).write_bytes(key)
        made.rename(directory)
    except OSError:
        shutil.rmtree(made, ignore_errors=True)
        if not (directory / CERTIFICATE).exists():
            raise


def make(hosts: Sequence[str], years: int) -> tuple[bytes, bytes]:
    """(certificate, key) in PEM, valid from now on. Raises ImportError where there is nothing to make it with."""
    # Needed once in the life of a member, by few of them: an extra, and 60 ms.
    from cryptography import x509  # noqa: PLC0415
    from cryptography.hazmat.primitives import hashes, serialization  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric import ec  # noqa: PLC0415
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID  # noqa: PLC0415

    key = ec.generate_private_key(ec.SECP256R1())  # etcd's is P-521, which browsers do not take
    name = x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, "zetcd")])
    now = dt.datetime.now(dt.UTC)
    usage = x509.KeyUsage(
        digital_signature=True, key_encipherment=True, content_commitment=False, data_encipherment=False,
        key_agreement=False, key_cert_sign=False, crl_sign=False, encipher_only=False, decipher_only=False,
    )  # fmt: skip
    built = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now)
        .not_valid_after(now + dt.timedelta(days=365 * years))
        .add_extension(usage, critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName(_names(hosts)), critical=False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return built.public_bytes(serialization.Encoding.PEM), private


def _names(hosts: Sequence[str]) -> "list[x509.GeneralName]":
    from cryptography import x509  # noqa: PLC0415

    found: list[x509.GeneralName] = []
    for host in dict.fromkeys(hosts):
        try:
            found.append(x509.IPAddress(ipaddress.ip_address(host)))
        except ValueError:
            found.append(x509.DNSName(host))
    return found
