"""Serving a report to a browser on this machine, and taking over what is corrected in it while it is corrected.

Two addresses: the page, and `/corrections`, which is read and written. Both ask for the token, which is in the address
that is printed. No path of a request names a file. A save carries the number of the save that it builds on: of two
windows, the one that does not know what the other has saved is refused, and nothing is lost.
"""

import hmac
import json
import secrets
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock
from typing import Any
from urllib.parse import parse_qs, urlsplit

from vsrd_ray.errors import InputError, VSRDRayError, explained
from vsrd_ray.labels.boxes.formats.report import MAX_BYTES, Document, parse
from vsrd_ray.labels.boxes.report.page import served_page
from vsrd_ray.labels.boxes.reported import import_document, read_decided
from vsrd_ray.runs.folder import digest_of_inputs
from vsrd_ray.runs.lock import locked
from vsrd_ray.runs.manifest import read_inputs, recorded_manifest
from vsrd_ray.runs.paths import RunPaths
from vsrd_ray.storage import Location, read_bytes

_HOST = "127.0.0.1"  # of this machine alone
_PLACE = "the report"  # in messages


def serve(output: Location, root: Location, path: Location) -> Iterator[str]:
    """Serve a report until it is interrupted; a sentence when it begins, and one when it ends.

    The run is held meanwhile, so that no other editor, import or labelling writes to it.

    Args:
        output: folder of the run.
        root: the dataset that was labelled.
        path: HTML file of the report.

    Raises:
        OutputError: another editor or run holds the folder.
    """
    with locked(output), Server(output, root, read_bytes(path)) as server:
        yield f"Correct it at {server.address} (this machine alone; Ctrl-C ends it)"
        try:
            server.serve_forever(poll_interval=0.2)
        except KeyboardInterrupt:
            yield f"{server.saves} saves are in {RunPaths(output).corrections}; `export` and `evaluate` take them"


class RefusedError(Exception):
    """A request that is not answered as it wishes: an HTTP status, and why."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status


class Server(ThreadingHTTPServer):
    """Serves one report; a context that listens from its beginning to its end."""

    daemon_threads = True

    def __init__(self, output: Location, root: Location, page: bytes) -> None:
        """Listen on a free port of this machine alone."""
        super().__init__((_HOST, 0), _Handler)
        self.page = served_page(page)
        self.token = secrets.token_urlsafe(32)
        self.saves = 0
        self._output, self._root = output, root
        self._lock = Lock()
        self._kept = self._read()

    @property
    def hosts(self) -> set[str]:
        """Names by which a browser on this machine may ask for it; another one is a foreign page's."""
        return {f"{_HOST}:{self.server_port}", f"localhost:{self.server_port}"}

    @property
    def address(self) -> str:
        """What to open."""
        return f"http://{_HOST}:{self.server_port}/?token={self.token}"

    def corrections(self) -> dict[str, Any]:
        """What is decided, and the number of the save that it is of."""
        with self._lock:
            return {"revision": self.saves, "document": self._kept}

    def save(self, content: bytes, revision: str) -> dict[str, Any]:
        """Take over a document, rows and all.

        Raises:
            RefusedError: another window has saved meanwhile, or the document does not fit the run.
        """
        with self._lock:
            if revision != str(self.saves):
                raise RefusedError(409, "another window has changed corrections meanwhile: reload this page to go on")
            try:
                document = parse(content, _PLACE)
                source = RunPaths(self._output).corrections
                done = import_document(self._output, self._root, document, source, keeps_before=self.saves > 0)
            except VSRDRayError as error:
                raise RefusedError(400, str(error)) from error
            except OSError as error:
                raise RefusedError(500, explained(error)) from error
            self.saves += 1
            self._kept = document.model_dump(mode="json")
            return {"revision": self.saves, "skipped": done.unlabelled}

    def _read(self) -> dict[str, Any]:
        """What was decided earlier."""
        inputs = read_inputs(self._output)
        found = {
            name: read_decided(self._output, name, digest_of_inputs(self._output, name)) for name in inputs.sequences
        }
        document = Document(
            format="vsrd-ray-corrections",
            version=1,
            config_hash=recorded_manifest(self._output)["config_hash"],
            sequences={name: decided for name, decided in found.items() if decided is not None},
        )
        return document.model_dump(mode="json")


class _Handler(BaseHTTPRequestHandler):
    """Answers one browser."""

    server: Server  # pyright: ignore[reportIncompatibleVariableOverride] - what handles requests knows whose they are
    server_version = "vsrd-ray"
    sys_version = ""
    timeout = 60  # seconds that a silent connection is kept

    def do_GET(self) -> None:
        """The page, or what is decided."""
        self._answer(self._get)

    def do_POST(self) -> None:
        """A save."""
        self._answer(self._post)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing: addresses hold the token."""

    def _answer(self, work: Any) -> None:
        try:
            kind, content = work()
            self._send(200, kind, content)
        except RefusedError as error:
            self._send(error.status, "application/json", _json({"error": str(error)}))
        except InputError as error:
            self._send(400, "application/json", _json({"error": str(error)}))

    def _get(self) -> tuple[str, bytes]:
        place = urlsplit(self.path)
        self._check_host()
        if place.path == "/":
            self._check_token((parse_qs(place.query).get("token") or [""])[0])
            return "text/html; charset=utf-8", self.server.page
        if place.path == "/corrections":
            self._check_token(self.headers.get("X-Token", ""))
            return "application/json", _json(self.server.corrections())
        raise RefusedError(404, "there is nothing here")

    def _post(self) -> tuple[str, bytes]:
        self._check_host()
        self._check_token(self.headers.get("X-Token", ""))
        if self.headers.get("Origin", "") not in {f"http://{host}" for host in self.server.hosts}:
            raise RefusedError(403, "only the report itself may save")
        if self.path != "/corrections":
            raise RefusedError(404, "there is nothing here")
        if self.headers.get_content_type() != "application/json":
            raise RefusedError(415, "expected JSON")
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal() or int(length) > MAX_BYTES:
            raise RefusedError(413, f"expected at most {MAX_BYTES} bytes, and their number")
        return "application/json", _json(
            self.server.save(self.rfile.read(int(length)), self.headers.get("X-Revision", ""))
        )

    def _check_host(self) -> None:
        """Refuse foreign names for this machine, by which a page elsewhere would reach it."""
        if self.headers.get("Host", "") not in self.server.hosts:
            raise RefusedError(403, "this address is for this machine alone")

    def _check_token(self, token: str) -> None:
        if not hmac.compare_digest(token.encode(), self.server.token.encode()):
            raise RefusedError(
                403, "open the address that `vsrd-ray report --serve` has printed: its token is missing or old"
            )

    def _send(self, status: int, kind: str, content: bytes) -> None:
        self.send_response(status)
        for name, value in {
            "Content-Type": kind,
            "Content-Length": str(len(content)),
            "Cache-Control": "no-store",
            "Referrer-Policy": "no-referrer",
            "X-Content-Type-Options": "nosniff",
            "X-Frame-Options": "DENY",
        }.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)


def _json(values: dict[str, Any]) -> bytes:
    return json.dumps(values).encode()
