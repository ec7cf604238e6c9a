"""A small real HTTP server in the place of a service, to test how services are started, kept running and stopped.

Says in `<data dir>/standin/<name>.json` what it was told, answers probes, streams lines that never end, and appends to
`<data dir>/standin/ended` when it has ended cleanly, with broker and database still there. Environment: STANDIN_FAILS
names services that end at once.
"""

import json
import os
import signal
import socket
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

NAME = sys.argv[1]
FOLDER = Path(os.environ["DOORSTEP_DATA_DIR"]) / "standin"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        if self.path == f"/api/{NAME}/stream":
            self.send_response(200)
            self.send_header("Content-Type", "text/event-stream")
            self.send_header("Connection", "close")
            self.end_headers()
            self.wfile.write(b"data: first\n\n")
            threading.Event().wait()
        else:
            self._answer(200, f"{NAME} {self.path}")

    def _answer(self, status: int, text: str) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def main() -> None:
    print(f"{NAME} begins", flush=True)  # noqa: T201  # this is its log
    if NAME in os.environ.get("STANDIN_FAILS", "").split():
        print("the reason why it fails", flush=True)  # noqa: T201  # this is its log
        sys.exit(3)
    FOLDER.mkdir(exist_ok=True)
    told = {key: value for key, value in os.environ.items() if key.startswith("DOORSTEP_")}
    (FOLDER / f"{NAME}.json").write_text(json.dumps(told))
    server = ThreadingHTTPServer((told["DOORSTEP_HTTP_HOST"], int(told["DOORSTEP_HTTP_PORT"])), Handler)
    server.daemon_threads = True
    asked = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: asked.set())
    threading.Thread(target=server.serve_forever, daemon=True).start()
    asked.wait()
    # What a real service still needs in order to finish what it has begun.
    for url in (told["DOORSTEP_RABBIT_URL"], told["DOORSTEP_MONGO_URL"]):
        address = urlsplit(url)
        socket.create_connection((address.hostname, address.port), timeout=1).close()
    with (FOLDER / "ended").open("a") as ended:
        ended.write(f"{NAME}\n")


main()
