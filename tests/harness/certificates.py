"""Certificates for loopback: an authority of our own, and its certificates, as PEM files."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID


def certificates(directory: Path, host: str) -> tuple[Path, Path]:
    """The authority's certificate, and one file with the key and the certificate of `host` that it has signed."""
    key, own = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a test's authority")])
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
    begun = datetime.now(UTC) - timedelta(minutes=5)

    def made(subject: x509.Name, of: Ed25519PrivateKey) -> x509.CertificateBuilder:
        builder = x509.CertificateBuilder(name, subject, of.public_key(), x509.random_serial_number())
        return builder.not_valid_before(begun).not_valid_after(begun + timedelta(days=1))

    authority = made(name, key).add_extension(x509.BasicConstraints(True, None), True).sign(key, None)
    alternative = x509.SubjectAlternativeName([x509.DNSName(host)])
    signed = made(subject, own).add_extension(alternative, False).sign(key, None)
    trusted, served = directory / "authority.pem", directory / f"{host}.pem"
    trusted.write_bytes(authority.public_bytes(Encoding.PEM))
    private = own.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    served.write_bytes(private + signed.public_bytes(Encoding.PEM))
    return trusted, served


def expiring(until: datetime) -> bytes:
    """A certificate in PEM that expires then."""
    key = Ed25519PrivateKey.generate()
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a test's authority")])
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    begun = until - timedelta(days=365)
    return builder.not_valid_before(begun).not_valid_after(until).sign(key, None).public_bytes(Encoding.PEM)
