"""A W&B server on the loopback interface that takes runs, and keeps their rows as W&B's own would.

It answers the little of W&B's protocol that a run and `wandb sync` need: the login, `UpsertBucket` and the resume
status over GraphQL, and the file stream, in which each row of the history has a line number (an offset).
"""

from __future__ import annotations

import json
import re
import threading
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from helpers.wandb_server import VIEWER

HISTORY, SUMMARY = "wandb-history.jsonl", "wandb-summary.json"


@dataclass
class Bucket:
    """A run as the server has it. ``history``: line number -> row."""

    config: str = "{}"
    history: dict[int, dict[str, Any]] = field(default_factory=dict)
    summary: dict[str, Any] = field(default_factory=dict)
    complete: bool = False
    exit_code: int | None = None

    @property
    def rows(self) -> list[dict[str, Any]]:
        return [row for _, row in sorted(self.history.items())]


class Backend:
    """The runs by id, the GraphQL operations that were asked for, and what to refuse.

    ``denied``: operations that are answered with 403, as for a project without rights. ``unknown_key``: no login is
    accepted. ``dead``: every request is answered with 503.
    """

    def __init__(self) -> None:
        self.runs: dict[str, Bucket] = defaultdict(Bucket)
        self.asked: list[str] = []
        self.bodies: list[bytes] = []
        self.denied: set[str] = set()
        self.unknown_key = False
        self.dead = False
        self.url = ""

    def answer(self, operation: str, variables: dict[str, Any]) -> dict[str, Any]:
        """Return the data of a GraphQL operation; empty for one that no run depends on."""
        if operation == "Viewer":
            return {"viewer": VIEWER}
        if operation == "RunResumeStatus":
            name = variables["name"]
            return {"model": {"id": "project", "name": "project", "entity": {"id": "1", "name": "team"},
                              "bucket": self._status(name) if name in self.runs else None}}  # fmt: skip
        if operation == "UpsertBucket":
            name, inserted = variables["name"], variables["name"] not in self.runs
            run = self.runs[name]
            run.config = variables.get("config") or run.config
            project = {"id": "project", "name": variables.get("project"), "entity": {"id": "1", "name": "team"}}
            bucket = {"id": f"bucket-{name}", "name": name, "displayName": variables.get("displayName") or name,
                      "description": None, "config": run.config, "sweepName": None, "project": project,
                      "historyLineCount": len(run.history)}  # fmt: skip
            return {"upsertBucket": {"bucket": bucket, "inserted": inserted}}
        if operation == "CreateRunFiles":
            files = [{"name": name, "uploadUrl": f"{self.url}/upload/{name}"} for name in variables["files"]]
            return {"createRunFiles": {"runID": f"bucket-{variables['run']}", "uploadHeaders": [], "files": files}}
        if operation == "CreateArtifact":  # as one whose content the server has already
            sequence = {"latestArtifact": {"id": "artifact"}}
            artifact = {"id": "artifact", "state": "COMMITTED", "artifactSequence": sequence}
            return {"createArtifact": {"artifact": artifact}}
        if operation == "ArtifactType":  # that the server has none of this name
            return {"project": None}
        return {}

    def _status(self, name: str) -> dict[str, Any]:
        run = self.runs[name]
        tail = [json.dumps(row) for row in run.rows[-1:]]
        return {"id": f"bucket-{name}", "name": name, "summaryMetrics": json.dumps(run.summary), "displayName": name,
                "logLineCount": 0, "historyLineCount": len(run.history), "eventsLineCount": 0,
                "historyTail": json.dumps(tail), "eventsTail": "[]", "config": run.config, "tags": [], "notes": None,
                "wandbConfig": json.dumps({"t": 1})}  # fmt: skip

    def stream(self, name: str, body: dict[str, Any]) -> None:
        """Take what a file stream sends: lines of the history at their offsets, the summary, the end."""
        run = self.runs[name]
        files = body.get("files") or {}
        if HISTORY in files:
            start = files[HISTORY]["offset"]
            for number, line in enumerate(files[HISTORY]["content"], start):
                run.history[number] = json.loads(line)
        if SUMMARY in files:
            run.summary = json.loads(files[SUMMARY]["content"][-1])
        run.complete = run.complete or bool(body.get("complete"))
        run.exit_code = body.get("exitcode", run.exit_code)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    backend: Backend

    def do_POST(self) -> None:
        raw = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.backend.bodies.append(raw)
        if self.backend.dead:
            self._send(503, {"error": "out of order"})
        elif not self.path.endswith(("/graphql", "/file_stream")):  # the content of files, and telemetry
            self._send(200, {})
        elif stream := re.search(r"/files/[^/]+/[^/]+/([^/]+)/file_stream$", self.path):
            self.backend.stream(stream[1], json.loads(raw))
            self._send(200, {})
        else:
            content = json.loads(raw or b"{}")
            found = re.search(r"(?:query|mutation)\s+(\w+)", content.get("query", ""))
            operation = found[1] if found else ""
            self.backend.asked.append(operation)
            if self.backend.unknown_key:
                self._send(401, {"errors": [{"message": "user is not logged in"}]})
            elif operation in self.backend.denied:
                self._send(403, {"errors": [{"message": "permission denied"}]})
            else:
                self._send(200, {"data": self.backend.answer(operation, content.get("variables") or {})})

    do_PUT = do_GET = do_POST

    def _send(self, status: int, content: dict[str, Any]) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Keep the terminal quiet."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Keep the terminal quiet about a client that was killed."""


@contextmanager
def wandb_backend() -> Iterator[Backend]:
    """Serve for the length of a `with` block; ``url`` is the base URL."""
    backend = Backend()
    handler = type("_BackendHandler", (_Handler,), {"backend": backend})
    with _Server(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        backend.url = f"http://127.0.0.1:{server.server_port}"
        try:
            yield backend
        finally:
            server.shutdown()
            thread.join()
