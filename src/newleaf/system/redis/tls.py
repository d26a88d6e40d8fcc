"""An encrypted connection to a Redis. Apart from the rest, because `ssl` is loaded for it."""

from __future__ import annotations

import socket
import ssl

from newleaf.core.redis_address import RedisAddress


def encrypted(connection: socket.socket, address: RedisAddress) -> socket.socket:
    """The connection, encrypted as its address asks.

    Raises: OSError; ssl.SSLError is one.
    """
    context = ssl.create_default_context(cafile=address.files.get("ssl_ca_certs"))
    context.check_hostname = address.is_verified and address.is_name_checked
    if not address.is_verified:
        context.verify_mode = ssl.CERT_NONE
    if "ssl_certfile" in address.files:
        context.load_cert_chain(address.files["ssl_certfile"], address.files.get("ssl_keyfile"))
    return context.wrap_socket(connection, server_hostname=address.host)
