"""What TLS connections are made with: authorities, and perhaps a client certificate."""

from __future__ import annotations

import os
import ssl
import threading
from typing import Union

Path = Union[str, "os.PathLike[str]"]


class Tls:
    """A client certificate is read again when its files have changed: it may have been renewed."""

    def __init__(
        self,
        *,
        context: ssl.SSLContext | None = None,
        ca_file: Path | None = None,
        cert: Path | None = None,
        key: Path | None = None,
    ) -> None:
        if context is not None and (ca_file is not None or cert is not None):
            raise ValueError("ssl_context has certificates of its own: give it, or ca_file and client_cert")
        if key is not None and cert is None:
            raise ValueError("client_key belongs to a client_cert")
        self._ca_file = ca_file
        self._cert = cert
        self._key = key
        self._lock = threading.Lock()
        self._files: list[tuple[int, int, int]] | None = None
        # Mistakes are told here, and not when the first connection is made.
        self._made = context or self._make()

    def context(self) -> ssl.SSLContext:
        if self._cert is None:
            return self._made
        with self._lock:
            if self._stat() != self._files:
                self._made = self._make()
            return self._made

    def _make(self) -> ssl.SSLContext:
        files = self._stat()
        context = ssl.create_default_context()
        if self._ca_file is not None:
            context.load_verify_locations(self._ca_file)
        if self._cert is not None:
            # A key that is encrypted is an error, and not a question at the terminal.
            context.load_cert_chain(self._cert, self._key, password="")
        self._files = files
        return context

    def _stat(self) -> list[tuple[int, int, int]]:
        told = [os.stat(path) for path in (self._cert, self._key) if path is not None]
        return [(one.st_ino, one.st_size, one.st_mtime_ns) for one in told]
