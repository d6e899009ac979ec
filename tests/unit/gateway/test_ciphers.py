"""Go's names of cipher suites are OpenSSL's of the same suite; and what OpenSSL does not offer is told."""

import re
import subprocess

import pytest

from zetcd.base.errors import Refusal
from zetcd.base.settings import Tls
from zetcd.gateway.ciphers import OPENSSL, TLS_1_3, complaint, openssl
from zetcd.gateway.main import tls_context

GCM = "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"


def test_both_names_are_of_one_suite() -> None:
    """As the program `openssl` has them, apart from those it was built without."""
    try:
        argv = ["openssl", "ciphers", "-stdname", "ALL:COMPLEMENTOFALL:@SECLEVEL=0"]
        text = subprocess.run(argv, capture_output=True, text=True, check=True).stdout
    except FileNotFoundError:
        pytest.skip("needs openssl")
    names = dict(re.findall(r"^(\S+)\s+- (\S+)", text, re.MULTILINE))
    assert set(names) >= TLS_1_3
    known = {name: there for name, there in OPENSSL.items() if name in names}
    assert len(known) > 15
    assert known == {name: names[name] for name in known}


def test_the_older_name_of_a_suite_is_known() -> None:
    """Go had it before the suite had a number at IANA."""
    for key in ("RSA", "ECDSA"):
        older = f"TLS_ECDHE_{key}_WITH_CHACHA20_POLY1305"
        assert OPENSSL[older] == OPENSSL[f"{older}_SHA256"]


def test_a_list_is_told_in_its_order_and_without_those_of_1_3() -> None:
    assert openssl([*TLS_1_3, GCM, "TLS_RSA_WITH_AES_256_CBC_SHA"]) == "ECDHE-ECDSA-AES128-GCM-SHA256:AES256-SHA"


def test_what_etcd_does_not_start_with() -> None:
    assert complaint([GCM], only_1_3=False) == ""
    assert complaint([], only_1_3=True).startswith("cipher suites cannot be configured")
    assert complaint([GCM, "ECDHE-ECDSA-AES128-GCM-SHA256"], only_1_3=False).startswith("unexpected TLS cipher suite")
    assert "HTTP/2" in complaint(["TLS_RSA_WITH_AES_256_CBC_SHA"], only_1_3=False)


def test_what_openssl_does_not_offer_is_refused() -> None:
    with pytest.raises(Refusal, match="TLS_RSA_WITH_RC4_128_SHA: OpenSSL"):
        tls_context(Tls(cipher_suites=(GCM, "TLS_RSA_WITH_RC4_128_SHA")))
    with pytest.raises(Refusal, match="--cert-file"):
        tls_context(Tls(cipher_suites=(GCM,)))
