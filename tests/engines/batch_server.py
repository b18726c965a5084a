"""A server on this machine with OpenAI's files and batches, which a test may hold up."""

import json
import re
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from tests.engines.servers import chat_reply


class BatchServer:
    """Answers every batch once it is ``released``; remembers what was uploaded and created."""

    def __init__(self):
        self.files, self.batches = {}, {}
        self.released = threading.Event()
        self.created = threading.Event()
        self.mute = False  # a batch is made, but the reply that says so never comes
        self.failed = False  # the server refuses what it was sent
        self._lock = threading.Lock()

    def billed(self):
        """Every call that was answered, once for each time."""
        return [row["custom_id"] for batch in self.batches.values() for row in batch["rows"]]

    def post(self, path, raw, headers):
        with self._lock:
            if path == "/v1/files":
                name = f"file-{len(self.files)}"
                [self.files[name]] = re.findall(rb"\r\n\r\n(\{.*\}\n)\r\n--", raw, re.DOTALL)
                return {"id": name, "object": "file", "purpose": "batch"}
            assert path == "/v1/batches", path
            asked = json.loads(raw)
            rows = [json.loads(line) for line in self.files[asked["input_file_id"]].splitlines()]
            assert {row["url"] for row in rows} == {asked["endpoint"]}
            batch = {**asked, "id": f"batch-{len(self.batches)}", "object": "batch", "rows": rows}
            self.batches[batch["id"]] = batch
        self.created.set()
        if self.mute:
            threading.Event().wait(60)
        return self._shown(batch)

    def get(self, path):
        if path.startswith("/v1/files/"):
            return self._output(*path.split("/")[3].split("."))
        if path.startswith("/v1/batches/"):
            return self._shown(self.batches[path.rpartition("/")[2]])
        return {"object": "list", "data": list(map(self._shown, self.batches.values())), "has_more": False}

    def _shown(self, batch):
        shown = {name: value for name, value in batch.items() if name != "rows"}
        if not self.released.is_set():
            return {**shown, "status": "in_progress"}
        if self.failed:
            errors = {"data": [{"message": "the key sk-planted-in-a-batch may not do this"}]}
            return {**shown, "status": "failed", "errors": errors}
        files = {f"{kind}_file_id": f"{batch['id']}.{kind}" for kind in ("output", "error")}
        return {**shown, "status": "completed", **files}

    def _output(self, name, kind):
        lines = []
        for row in self.batches[name]["rows"]:
            text = row["body"]["messages"][-1]["content"]
            bad = "fails" in text
            if bad == (kind == "error"):
                said = {"error": {"code": "context_length_exceeded", "message": "too long"}}
                body = said if bad else chat_reply(f"answer to {text}")
                reply = {"status_code": 400 if bad else 200, "body": body}
                lines.append(json.dumps({"custom_id": row["custom_id"], "response": reply, "error": None}))
        return "".join(line + "\n" for line in reversed(lines)).encode()


@contextmanager
def serving_batches(batches):
    """The server's base URL."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            raw = self.rfile.read(int(self.headers["Content-Length"]))
            self.reply(batches.post(self.path, raw, self.headers))

        def do_GET(self):
            self.reply(batches.get(self.path.partition("?")[0]))

        def reply(self, value):
            data = value if isinstance(value, bytes) else json.dumps(value).encode()
            self.send_response(200)
            kind = "application/octet-stream" if isinstance(value, bytes) else "application/json"
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *args):
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, request, client_address):
            pass  # clients are killed here

    server = Server(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1"
    finally:
        server.shutdown()
        server.server_close()
