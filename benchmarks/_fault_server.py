"""A seeded server with OpenAI's chat protocol, a fixed latency and, on request, every kind of fault.

It runs as its own process: ``python benchmarks/_fault_server.py --share 0.3`` prints its port and serves
until its input ends. It honours ``Idempotency-Key``: an answer given once under a key is repeated from
memory and billed once. ``GET /log`` returns all events as JSON. The fault of a call depends only on the
seed, the question and how often it was sent.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import random
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

PER_TRY = (
    *("429", "500", "timeout", "cut before", "cut within", "drip"),
    *("html", "other shape", "no choices", "no logprobs"),
)
PER_ITEM = ("refusal", "too long")
KINDS = (*PER_TRY, *PER_ITEM)
"""Faults of single tries, and faults of items that recur at every try."""
_DRIP = 0.05  # seconds between pieces that are too small to ever end in time
_LATE = 30.0  # seconds longer than any client's timeout


class State:
    """The planned faults and the events so far."""

    def __init__(self, seed: int, share: float, latency: float) -> None:
        self.seed, self.share, self.latency = seed, share, latency
        self.asked: dict[str, int] = {}
        self.answers: dict[str, bytes] = {}
        self.log: list[dict[str, Any]] = []

    def fault(self, question: str) -> str | None:
        """Return the fault of this try, if any; an item's own fault comes before those of single tries."""
        each = self.share / len(KINDS)
        drawn = int(random.Random(f"{self.seed} {question}").random() / each)
        if drawn < len(PER_ITEM):
            return PER_ITEM[drawn]
        count = self.asked[question] = self.asked.get(question, 0) + 1
        drawn = int(random.Random(f"{self.seed} {question} {count}").random() / each)
        return PER_TRY[drawn] if drawn < len(PER_TRY) else None

    def answer(self, key: str, refusal: bool) -> tuple[bytes, bool]:
        """Return the item's answer, and whether it is billed now."""
        known = self.answers.get(key) if key else None
        if known is not None:
            return known, False
        made = json.dumps(_reply(refusal, first=random.Random(f"{self.seed} {key} m").random())).encode()
        if key:
            self.answers[key] = made
        return made, True


def _reply(refusal: bool, first: float) -> dict[str, Any]:
    share = {"m": 0.1 + 0.8 * first, "M": 0.9 - 0.8 * first}
    tops = [{"token": token, "logprob": math.log(p), "bytes": None} for token, p in share.items()]
    tops.sort(key=lambda top: -top["logprob"])
    message: dict[str, Any] = {"role": "assistant", "content": tops[0]["token"], "refusal": None}
    logprobs: Any = {"content": [{**tops[0], "top_logprobs": tops}], "refusal": None}
    if refusal:
        message, logprobs = (
            {"role": "assistant", "content": None, "refusal": "I cannot help with that."},
            None,
        )
    choice = {"index": 0, "finish_reason": "stop", "message": message, "logprobs": logprobs}
    usage = {"prompt_tokens": 90, "completion_tokens": 1, "total_tokens": 91}
    kind = {"id": "chatcmpl-1", "object": "chat.completion", "created": 0, "model": "m"}
    return {**kind, "choices": [choice], "usage": usage}


class Connection(asyncio.Protocol):
    """HTTP/1.1, as far as the clients here need it."""

    def __init__(self, state: State) -> None:
        self.state = state
        self.buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: Any = transport

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        head, found, rest = self.buffer.partition(b"\r\n\r\n")
        if not found:
            return
        lines = head.decode("latin-1").split("\r\n")
        headers = {
            name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])
        }
        length = int(headers.get("content-length", 0))
        if len(rest) < length:
            return
        body, self.buffer = rest[:length], rest[length:]
        if lines[0].startswith("GET /log"):
            self.write(200, json.dumps(self.state.log).encode())
            return
        key = headers.get("idempotency-key", "")
        asyncio.get_running_loop().call_later(self.state.latency, self.meet, key, body)

    def meet(self, key: str, body: bytes) -> None:
        """Answer a call, or produce its fault."""
        question = json.loads(body)["messages"][-1]["content"] if self.state.share else ""
        fault = self.state.fault(question) if question else None
        event = {"key": key, "fault": fault, "billed": False, "delivered": False}
        self.state.log.append(event)
        if self.transport.is_closing():
            event["fault"] = "client gone"
        elif fault in _SPOILED:
            self.write(*_SPOILED[fault])
        else:
            made, event["billed"] = self.state.answer(key, fault == "refusal")
            event["delivered"] = fault in (None, "refusal")
            self.send(fault, made)

    def send(self, fault: str | None, body: bytes) -> None:
        """Send an answer that exists and is billed; some faults prevent its arrival."""
        loop = asyncio.get_running_loop()
        if fault == "timeout":
            loop.call_later(_LATE, self.transport.abort)
        elif fault == "cut before":
            self.transport.abort()
        elif fault == "cut within":
            self.transport.write(_head(200, len(body)) + body[: len(body) // 2])
            loop.call_later(0.01, self.transport.abort)
        elif fault == "drip":
            self.transport.write(_head(200, len(body)))
            self.drip(body, 0)
        else:
            self.write(200, body)

    def drip(self, body: bytes, at: int) -> None:
        """Send the reply in slow, small pieces."""
        if at < len(body) and not self.transport.is_closing():
            self.transport.write(body[at : at + 1])
            asyncio.get_running_loop().call_later(_DRIP, self.drip, body, at + 1)

    def write(self, status: int, body: bytes, *headers: str) -> None:
        """Write a complete reply."""
        self.transport.write(_head(status, len(body), *headers) + body)


def _head(status: int, length: int, *headers: str) -> bytes:
    own = any(header.startswith("Content-Type") for header in headers)
    lines = [f"HTTP/1.1 {status} X", f"Content-Length: {length}", *headers]
    return "\r\n".join([*lines, *([] if own else ["Content-Type: application/json"]), "", ""]).encode()


def _json(value: Any) -> bytes:
    return json.dumps(value).encode()


_SPOILED: dict[str | None, tuple[Any, ...]] = {
    "429": (429, _json({"error": {"message": "slow down"}}), "retry-after-ms: 40"),
    "500": (500, _json({"error": {"message": "oops"}})),
    "html": (200, b"<html>Please log in</html>", "Content-Type: text/html"),
    "other shape": (200, _json({"result": ["m"]})),
    "no choices": (200, _json({**_reply(False, 0.5), "choices": []})),
    "no logprobs": (200, _json({**_reply(False, 0.5), "choices": [{"message": {"content": "m"}}]})),
    "too long": (400, _json({"error": {"code": "context_length_exceeded", "message": "too long"}})),
}


async def _serve(options: argparse.Namespace) -> None:
    state = State(options.seed, options.share, options.latency)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(state), "127.0.0.1", 0, backlog=512)
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)  # ends with the process that started this one


@contextmanager
def serving(share: float = 0.0, latency: float = 0.0, seed: int = 0) -> Iterator[str]:
    """Yield the base URL of such a server in its own process."""
    command = [sys.executable, str(Path(__file__).resolve())]
    options = ["--share", str(share), "--latency", str(latency), "--seed", str(seed)]
    with subprocess.Popen(
        [*command, *options], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        try:
            yield f"http://127.0.0.1:{int(process.stdout.readline())}/v1"
        finally:
            process.kill()


def log_of(url: str) -> list[dict[str, Any]]:
    """Return all events of the server at this URL: key, fault, billed, delivered."""
    with urllib.request.urlopen(url.removesuffix("/v1") + "/log", timeout=60) as reply:
        return list(json.load(reply))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--share", type=float, default=0.0)
    parser.add_argument("--latency", type=float, default=0.0)
    asyncio.run(_serve(parser.parse_args()))
