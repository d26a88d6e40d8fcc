"""A certificate for servers on this machine that only those trust who are told to."""

from __future__ import annotations

import subprocess
from pathlib import Path

_REQUEST = """
[req]
distinguished_name = subject
x509_extensions = extensions
prompt = no
[subject]
CN = localhost
[extensions]
subjectAltName = DNS:localhost, IP:127.0.0.1, IP:::1
basicConstraints = critical, CA:true
"""


def make_certificate(folder: Path) -> Path:
    """One file with a fresh key and its self-signed certificate for localhost, 127.0.0.1 and ::1."""
    request, key, certificate = folder / "request.cnf", folder / "key.pem", folder / "certificate.pem"
    request.write_text(_REQUEST)
    curve = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1")
    files = ("-config", str(request), "-keyout", str(key), "-out", str(certificate))
    subprocess.run(
        ["openssl", "req", "-x509", "-nodes", "-days", "2", *curve, *files], check=True, capture_output=True
    )
    both = folder / "server.pem"
    both.write_text(key.read_text() + certificate.read_text())
    return both
