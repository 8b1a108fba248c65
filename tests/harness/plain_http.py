"""HTTP without TLS. A client that may need TLS reads all certificates of the system first, which takes some 20 ms."""

from __future__ import annotations

import ssl

PLAIN = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # for `verify`: it knows no certificate
