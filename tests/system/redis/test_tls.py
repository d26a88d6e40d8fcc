"""Encrypted words with a Redis: a good certificate is needed, unless the address says otherwise."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest

from newleaf.core.redis_address import parse_redis_url
from newleaf.core.redis_errors import RedisSilent
from newleaf.system.redis.line import RedisLine
from newleaf.system.redis.tls import encrypted
from tests.support.certificates import make_certificate
from tests.support.redis_trouble import answering_on_port


def test_encrypted_connection_needs_a_certificate_that_is_good(tmp_path: Path) -> None:
    certificate = make_certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)

    def speak(port: int, options: str, host: str = "localhost") -> None:
        address = parse_redis_url(f"rediss://{host}:{port}{options}")
        RedisLine(address, "redis://shown", lambda made: encrypted(made, address)).set("key", "word")

    with answering_on_port(b"+OK\r\n", lambda made: context.wrap_socket(made, server_side=True)) as port:
        for options in (f"?ssl_ca_certs={certificate}", "?ssl_cert_reqs=none"):
            speak(port, options)
        with pytest.raises(RedisSilent, match="cannot be reached"):
            speak(port, "")
        with pytest.raises(RedisSilent, match="cannot be reached"):
            speak(port, f"?ssl_ca_certs={tmp_path}/absent.pem")
