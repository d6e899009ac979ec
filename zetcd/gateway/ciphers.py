"""`--cipher-suites`: etcd takes Go's names (IANA's, mostly), OpenSSL has its own.

A list chooses among the suites of TLS 1.2. TLS 1.3 has three of its own, and neither Go nor Python leaves a choice.
"""

from collections.abc import Sequence

_KEYS = ("ECDHE_RSA", "ECDHE_ECDSA")
_GCM = tuple(f"TLS_{key}_WITH_AES_128_GCM_SHA256" for key in _KEYS)
"""RFC 9113 section 9.2.2: whoever speaks HTTP/2 over TLS 1.2 has the first of them; Go counts the second, too."""
TLS_1_3 = frozenset({"TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"})
_OF_A_KEY = {
    "RC4_128_SHA": "RC4-SHA",
    "3DES_EDE_CBC_SHA": "DES-CBC3-SHA",
    "AES_128_CBC_SHA": "AES128-SHA",
    "AES_256_CBC_SHA": "AES256-SHA",
    "AES_128_CBC_SHA256": "AES128-SHA256",
    "AES_128_GCM_SHA256": "AES128-GCM-SHA256",
    "AES_256_GCM_SHA384": "AES256-GCM-SHA384",
}
OPENSSL = {
    **{f"TLS_RSA_WITH_{name}": there for name, there in _OF_A_KEY.items()},
    **{
        f"TLS_{key}_WITH_{name}": f"{key.replace('_', '-')}-{there}"
        for key in _KEYS
        for name, there in (
            *_OF_A_KEY.items(),
            ("CHACHA20_POLY1305", "CHACHA20-POLY1305"),
            ("CHACHA20_POLY1305_SHA256", "CHACHA20-POLY1305"),
        )
        if (key, name) != ("ECDHE_ECDSA", "3DES_EDE_CBC_SHA")  # Go has it not
    },
}
"""Go's name -> OpenSSL's, of TLS 1.2."""


def complaint(names: Sequence[str], *, only_1_3: bool) -> str:
    """Why etcd would not start with this list, in its words where it has some; empty: it would.

    only_1_3: TLS 1.2 is not spoken.
    """
    for name in names:
        if name not in OPENSSL and name not in TLS_1_3:
            return f'unexpected TLS cipher suite "{name}"'
    if only_1_3:
        return "cipher suites cannot be configured when only TLS1.3 is enabled"
    if names and not set(names) & set(_GCM):
        return f"HTTP/2, which gRPC needs, requires one more of them: {_GCM[0]} (or {_GCM[1]}, with such a key)"
    return ""


def openssl(names: Sequence[str]) -> str:
    """What OpenSSL is to be told."""
    return ":".join(OPENSSL[name] for name in names if name in OPENSSL)
