"""A provider's batches (OpenAI's ``/v1/files`` and ``/v1/batches``): half the price, within a day.

Each batch is recorded before it is sent, under a tag that the server keeps with the batch. A run that is
killed at any moment therefore finds its batches again, and a rerun waits for them instead of paying twice.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NoReturn
from uuid import uuid4

from aligner_bench.core.errors import UsageError
from aligner_bench.core.hashing import digest
from aligner_bench.core.types import Completion
from aligner_bench.engines.base import Hooks
from aligner_bench.engines.faults import Fault, ReplyError, reason, status_fault
from aligner_bench.engines.openai_calls import RESUME_HINT, Caller
from aligner_bench.engines.openai_wire import Call, completion

_TAG = "aligner_bench"
_MOST_CALLS = 50_000
_MOST_BYTES = 100_000_000
_FIRST_POLL, _LONGEST_POLL = 0.5, 60.0  # seconds
_ENDED = ("completed", "expired", "cancelled", "failed")
_PAGE = 100
Sent = dict[str, Any]  # tag, id (None until the server has assigned it), keys


class Batches:
    """The batches of one model: those that earlier runs sent, and new ones."""

    def __init__(self, caller: Caller, url: str, key: str, identity: Mapping[str, Any], hooks: Hooks) -> None:
        from openai import OpenAI

        spec = caller.spec
        self._client = OpenAI(
            api_key=key or "none", base_url=url, timeout=spec.timeout, max_retries=spec.retries
        )
        self._caller, self._hooks, self._notes = caller, hooks, hooks.notes or _Forgetful()
        self._note = digest(["batches", identity])

    def stream(self, calls: Mapping[str, Call]) -> Iterator[dict[str, Completion]]:
        """Yield completions by key, a batch at a time.

        Raises UsageError where a batch fails as a whole, or the time limit passes.
        """
        import openai

        wanted = self._allowed(calls)
        try:
            yield from self._stream(wanted)
        except openai.OpenAIError as error:
            self._stop(reason(Fault.OTHER, error, self._caller.secrets))

    def _stream(self, wanted: Mapping[str, Call]) -> Iterator[dict[str, Completion]]:
        waiting = [sent for sent in self._earlier() if not wanted.keys().isdisjoint(sent["keys"])]
        underway = {key for sent in waiting for key in sent["keys"]}
        waiting += [
            self._send(part) for part in _parts({k: c for k, c in wanted.items() if k not in underway})
        ]
        pause = _FIRST_POLL
        while waiting:
            for sent in list(waiting):
                batch = self._client.batches.retrieve(sent["id"])
                if batch.status in _ENDED:
                    yield self._results(batch, sent, wanted)
                    self._settle(sent, wanted)
                    waiting.remove(sent)
            if waiting:
                self._rest(pause, waiting)
                pause = min(_LONGEST_POLL, pause * 1.5)

    def _allowed(self, calls: Mapping[str, Call]) -> dict[str, Call]:
        allowed = {}
        for key, call in calls.items():
            if not self._hooks.may_start(key):
                break
            allowed[key] = call
        self._caller.counts.calls += len(allowed)
        return allowed

    def _earlier(self) -> list[Sent]:
        """Return the batches that earlier runs sent; drop those that the server never received."""
        known: list[Sent] = self._notes.note(self._note) or []
        for sent in known:
            sent["id"] = sent["id"] or self._find(sent["tag"])
        found = [sent for sent in known if sent["id"]]
        self._notes.set_note(self._note, found or None)
        return found

    def _find(self, tag: str) -> str | None:
        for batch in self._client.batches.list(limit=_PAGE):
            if (batch.metadata or {}).get(_TAG) == tag:
                return str(batch.id)
        return None

    def _send(self, calls: Mapping[str, Call]) -> Sent:
        lines = [_line(key, call) for key, call in calls.items()]
        file = self._client.files.create(file=("calls.jsonl", b"".join(lines)), purpose="batch")
        sent: Sent = {"tag": uuid4().hex, "id": None, "keys": list(calls)}
        self._remember(sent)
        path = next(iter(calls.values())).path
        # Not sent again: after a lost reply the batch may be running, and its tag finds it.
        batch = self._client.with_options(max_retries=0).batches.create(
            input_file_id=file.id,
            endpoint=f"/v1{path}",
            completion_window="24h",
            metadata={_TAG: sent["tag"]},
        )
        sent["id"] = batch.id
        self._remember(sent)
        self._caller.counts.batches += 1
        self._caller.counts.tries += len(calls)
        return sent

    def _remember(self, sent: Sent) -> None:
        others = [one for one in self._notes.note(self._note) or [] if one["tag"] != sent["tag"]]
        self._notes.set_note(self._note, [*others, sent])

    def _settle(self, sent: Sent, wanted: Mapping[str, Call]) -> None:
        """Delete a batch's record once its results are stored, except keys that another run will request."""
        others = [one for one in self._notes.note(self._note) or [] if one["tag"] != sent["tag"]]
        rest = [key for key in sent["keys"] if key not in wanted]
        self._notes.set_note(self._note, [*others, {**sent, "keys": rest}] if rest else others or None)

    def _results(self, batch: Any, sent: Sent, wanted: Mapping[str, Call]) -> dict[str, Completion]:
        files = [name for name in (batch.output_file_id, batch.error_file_id) if name]
        if batch.status == "failed" and not files:
            self._settle(sent, dict.fromkeys(sent["keys"], next(iter(wanted.values()))))
            said = [str(one.message) for one in (batch.errors.data if batch.errors else None) or []]
            self._stop(
                reason(Fault.BAD_REQUEST, f"batch {batch.id} failed: {said[:1]}", self._caller.secrets)
            )
        keys = [key for key in sent["keys"] if key in wanted]
        lost = reason(Fault.TIMEOUT, f"batch {batch.id} ended as {batch.status} without this answer", ())
        found = {key: Completion("", "error", error=lost) for key in keys}
        for name in files:
            for line in self._client.files.content(name).text.splitlines():
                row = json.loads(line) if line.strip() else {}
                if row.get("custom_id") in found:
                    found[row["custom_id"]] = self._read(row, wanted[row["custom_id"]])
        for key, done in found.items():
            self._caller.counts.count(done)
            self._hooks.finished(key, done)
        return found

    def _read(self, row: dict[str, Any], call: Call) -> Completion:
        reply = row.get("response") or {}
        status, body = int(reply.get("status_code") or 0), reply.get("body")
        try:
            if status == 200:
                return completion(body, call, 0.0)
            said = json.dumps(body or row.get("error"))
            raise ReplyError(status_fault(status, body) if status >= 400 else Fault.OTHER, said)
        except ReplyError as error:
            return Completion("", "error", error=reason(error.fault, str(error), self._caller.secrets))

    def _rest(self, pause: float, waiting: Sequence[Sent]) -> None:
        deadline = self._caller.deadline
        if deadline is not None and time.monotonic() + pause > deadline:
            limit, batch = self._caller.spec.run_timeout, waiting[0]["id"]
            self._stop(f"run_timeout of {limit:g} s passed; batch {batch} still runs")
        time.sleep(pause)

    def _stop(self, said: str) -> NoReturn:
        raise UsageError(f"model {self._caller.spec.model}: {said}; {RESUME_HINT}") from None


class _Forgetful:
    """A store for an engine without a ledger; it ends with the process."""

    def __init__(self) -> None:
        self._held: dict[str, Any] = {}

    def note(self, key: str) -> Any:
        return self._held.get(key)

    def set_note(self, key: str, value: Any) -> None:
        self._held[key] = value


def _line(key: str, call: Call) -> bytes:
    row = {"custom_id": key, "method": "POST", "url": f"/v1{call.path}", "body": call.body}
    return json.dumps(row).encode() + b"\n"


def _parts(calls: Mapping[str, Call]) -> Iterator[dict[str, Call]]:
    """Return the calls split to the limits of one batch; chat and plain completions are separate."""
    for path in dict.fromkeys(call.path for call in calls.values()):
        part: dict[str, Call] = {}
        size = 0
        for key, call in calls.items():
            if call.path != path:
                continue
            length = len(_line(key, call))
            if part and (len(part) == _MOST_CALLS or size + length > _MOST_BYTES):
                yield part
                part, size = {}, 0
            part[key] = call
            size += length
        if part:
            yield part
