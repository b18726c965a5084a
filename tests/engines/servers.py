"""Servers on this machine that speak OpenAI's protocol: one over SmolLM2, one that misbehaves on demand."""

import json
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from aligner_bench.core.types import Decoding, Request
from aligner_bench.engines.base import model_spec


@contextmanager
def serving(answer):
    """``answer(path, body, headers)`` gives (status, headers, bytes); yields the base URL."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            status, headers, data = answer(self.path, body, self.headers)
            drip = float(headers.pop("drip", 0))
            try:
                self.send_response(status)
                for name, value in {"Content-Length": len(data), **headers}.items():
                    self.send_header(name, str(value))
                self.end_headers()
                for byte in data if drip else ():
                    self.wfile.write(bytes([byte]))
                    time.sleep(drip)
                self.wfile.write(b"" if drip else data)
            except (BrokenPipeError, ConnectionResetError):
                pass  # the client has given up, as some tests want it to

        def log_message(self, *args):
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 128  # else a burst of connections waits for TCP to try again

    server = Server(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def as_json(value, status=200, **headers):
    return status, {"Content-Type": "application/json", **headers}, json.dumps(value).encode()


def chat_reply(text, finish="stop", prompt_tokens=7, completion_tokens=3, **choice):
    return {
        "id": "x", "object": "chat.completion", "created": 0, "model": "m",
        "choices": [
            {"index": 0, "finish_reason": finish, "message": {"role": "assistant", "content": text}, **choice}
        ],
        "usage": {
            "prompt_tokens": prompt_tokens, "completion_tokens": completion_tokens,
            "total_tokens": prompt_tokens + completion_tokens,
        },
    }  # fmt: skip


class SmolServer:
    """SmolLM2 behind chat and plain completions, with token counts and first-token log-probabilities."""

    def __init__(self):
        from aligner_bench.engines.hf import HFEngine

        self._engine = HFEngine(model_spec(engine="hf", model="smollm2-135m-instruct"))
        self._engine.load()
        self._lock = threading.Lock()
        self.calls = 0

    def __call__(self, path, body, headers):
        chat = path.endswith("/chat/completions")
        history, text = (), body.get("prompt")
        if chat:
            turns = [(turn["role"], turn["content"]) for turn in body["messages"]]
            history, text = tuple(turns[:-1]), turns[-1][1]
        decoding = Decoding(max_new_tokens=body["max_tokens"], stop=tuple(body.get("stop") or ()))
        request = Request(text, history=history, chat=chat, decoding=decoding)
        with self._lock:
            self.calls += 1
            if body.get("logprobs"):
                return as_json(self._probabilities(request, chat, body))
            [done] = self._engine.complete([request])
        finish = "length" if done.finish_reason == "length" else "stop"
        reply = chat_reply(done.text, finish, done.prompt_tokens, done.completion_tokens)
        if not chat:
            reply["choices"][0]["text"] = reply["choices"][0].pop("message")["content"]
        return as_json(reply)

    def _probabilities(self, request, chat, body):
        import torch

        ids, _ = self._engine._prompts.encode(request, 1)
        with torch.inference_mode():
            logits = self._engine._model(torch.tensor([ids])).logits[0, -1]
        best = torch.log_softmax(logits.double(), -1).topk(body["top_logprobs"] if chat else body["logprobs"])
        tokens = [self._engine._tokenizer.decode([i]) for i in best.indices.tolist()]
        tops = list(zip(tokens, best.values.tolist(), strict=True))
        if chat:
            first = {
                "token": tops[0][0], "logprob": tops[0][1], "bytes": None,
                "top_logprobs": [{"token": t, "logprob": p, "bytes": None} for t, p in tops],
            }  # fmt: skip
            return chat_reply(tops[0][0], logprobs={"content": [first]})
        reply = chat_reply("")
        reply["choices"][0] |= {"text": tops[0][0], "logprobs": {"top_logprobs": [dict(tops)]}}
        return reply


class Misbehaving:
    """Does what the last message names; counts the calls of each and remembers every body."""

    def __init__(self):
        self.calls = {}
        self.bodies = []
        self.in_flight = self.most_in_flight = 0
        self._lock = threading.Lock()

    def __call__(self, path, body, headers):
        text = body["messages"][-1]["content"] if "messages" in body else body["prompt"]
        with self._lock:
            self.calls[text] = self.calls.get(text, 0) + 1
            self.bodies.append((path, body))
            self.in_flight += 1
            self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            return self._answer(text, self.calls[text], headers)
        finally:
            with self._lock:
                self.in_flight -= 1

    def _answer(self, text, call, headers):
        if text == "busy twice" and call <= 2:
            return as_json({"error": {"message": "slow down"}}, 429, **{"Retry-After": "0"})
        if text == "busy for ever":
            return as_json({"error": {"message": "slow down"}}, 429, **{"Retry-After": "0"})
        if text == "broken":
            said = f"I was sent {headers['Authorization']}"
            return as_json({"error": {"message": said}}, 500, **{"Retry-After": "0"})
        if text == "refused":
            return as_json({"error": {"message": "no such model"}}, 404)
        if text == "slow":
            time.sleep(6)
        if text == "drip":  # every piece comes in time, the whole never does
            return as_json(chat_reply("d r i p"), drip=0.1)
        if text == "much too long":
            said = {"code": "context_length_exceeded", "message": "at most 4096 tokens"}
            return as_json({"error": said}, 400)
        if text == "wrapped":  # as routers hand on the errors of those behind them
            return as_json({"error": {"code": 502, "message": "no one behind me"}}, **{"Retry-After": "0"})
        if text == "declined":
            return as_json(chat_reply(None, message={"role": "assistant", "content": None, "refusal": "No."}))
        if text == "page":
            return 200, {"Content-Type": "text/html"}, b"<html><script>alert(1)</script> Please log in</html>"
        if text == "cut json":
            return 200, {"Content-Type": "application/json"}, b'{"choices": [{"ind'
        if text == "wrong json":
            return as_json([1, 2, 3])
        if text == "no choices":
            return as_json({**chat_reply(""), "choices": []})
        if text == "null message":
            return as_json(chat_reply(None))
        if text == "filtered":
            return as_json(chat_reply("half an ans", "content_filter"))
        if text == "long":
            return as_json(chat_reply("and so on", "length"))
        if text == "stop":
            return as_json(chat_reply("first###second"))
        if text == "together":
            time.sleep(0.2)
        return as_json(chat_reply(f"answer to {text}"))
