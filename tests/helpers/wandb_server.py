"""A W&B server on the loopback interface that knows the user and refuses every run."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

VIEWER = {"id": "1", "entity": "team", "username": "user", "email": "", "flags": "{}", "teams": {"edges": []}}


class _RefusingHandler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        query = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if b"query Viewer" in query:
            self._answer(200, {"data": {"viewer": VIEWER}})
        else:
            self._answer(403, {"errors": [{"message": "permission denied"}]})

    def _answer(self, status: int, content: dict[str, object]) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Keep the terminal quiet."""


@contextmanager
def refusing_server() -> Iterator[str]:
    """Serve for the length of a `with` block; gives the base URL."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _RefusingHandler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
