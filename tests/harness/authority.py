"""Two certificate authorities: one that signed the certificates of the test's servers, and another that no client
should trust."""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field
from pathlib import Path

import trustme
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key

from ops.run.services.process import LOOPBACK


@dataclass
class Authority:
    """`ca_file` has signed the certificate of loopback, `other_ca_file` has not."""

    directory: Path
    _ours: trustme.CA = field(default_factory=trustme.CA)
    _other: trustme.CA = field(default_factory=trustme.CA)

    def __post_init__(self) -> None:
        self.ca_file, self.other_ca_file = self.directory / "ca.pem", self.directory / "other-ca.pem"
        self._ours.cert_pem.write_to_path(self.ca_file)
        self._other.cert_pem.write_to_path(self.other_ca_file)
        self._server = self._ours.issue_cert(LOOPBACK)

    def context(self) -> ssl.SSLContext:
        """The TLS context of a server on loopback."""
        made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._server.configure_cert(made)
        return made

    def keystore(self) -> Path:
        """The key and the certificate of loopback in one file, as Kafka reads them."""
        return _written(self.directory / "server.pem", self._server)

    def client(self, name: str, *, other: bool = False) -> tuple[Path, Path]:
        """The certificate and the key of a client that is called `name`, signed by ours or by the other one."""
        made = (self._other if other else self._ours).issue_cert(f"{name}.example.org", common_name=name)
        whole = _written(self.directory / f"{name}{'-other' if other else ''}.pem", made)
        return whole, whole


def _written(path: Path, leaf: trustme.LeafCert) -> Path:
    key = load_pem_private_key(leaf.private_key_pem.bytes(), None)
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path.touch(mode=0o600)
    path.write_bytes(private + b"".join(blob.bytes() for blob in leaf.cert_chain_pems))
    return path
