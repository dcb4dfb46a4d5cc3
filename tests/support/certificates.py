"""Certificates for tests: an authority, and a pair signed by it.

Covers: making them, in files. Does not cover: what is done with them (test_tls.py).
"""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


@dataclass(frozen=True)
class Certificates:
    """Files in PEM form: the authority's certificate, and a certificate signed by it with its key."""

    ca: str
    cert: str
    key: str

    @property
    def settings(self) -> dict[str, str]:
        return {"tls_ca": self.ca, "tls_cert": self.cert, "tls_key": self.key}

    @property
    def options(self) -> list[str]:
        """What `dask scheduler` and `dask worker` take."""
        return ["--protocol", "tls", "--tls-ca-file", self.ca, "--tls-cert", self.cert, "--tls-key", self.key]


def made_certificates(folder: Path, name: str) -> Certificates:
    """Make an authority of that name, and a pair that it has signed."""
    authority_key, own_key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    authority = _certificate(f"{name} authority", f"{name} authority", authority_key, authority_key, is_authority=True)
    own = _certificate(name, f"{name} authority", own_key, authority_key, is_authority=False)
    found = Certificates(*(str(folder / f"{name}-{part}.pem") for part in ("ca", "cert", "key")))
    Path(found.ca).write_bytes(authority.public_bytes(serialization.Encoding.PEM))
    Path(found.cert).write_bytes(own.public_bytes(serialization.Encoding.PEM))
    Path(found.key).write_bytes(
        own_key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return found


def _certificate(
    subject: str,
    issuer: str,
    key: ec.EllipticCurvePrivateKey,
    signer: ec.EllipticCurvePrivateKey,
    is_authority: bool,
) -> x509.Certificate:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(minutes=5))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
        .sign(signer, hashes.SHA256())
    )
