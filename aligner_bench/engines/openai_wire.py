"""OpenAI's protocol: convert requests to HTTP bodies and replies to completions."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from aligner_bench.core.hashing import digest
from aligner_bench.core.types import Completion, Decoding, FinishReason, Request
from aligner_bench.engines.faults import Fault, ReplyError, status_fault

Body = dict[str, Any]
_TOP_LOGPROBS = {True: 20, False: 5}  # the largest number that chat and plain completions may request
_CHARS_PER_TOKEN = 4  # an estimate; rate limits are corrected with the server's own count


@dataclass(frozen=True, slots=True)
class Call:
    """One item ready to be sent: path, body, and whether the reply must hold log-probabilities."""

    path: str
    body: Body
    request: Request
    logprobs: bool

    @property
    def tokens(self) -> float:
        """Estimated tokens, input and output."""
        limit = self.body.get("max_completion_tokens") or self.body.get("max_tokens") or 0
        turns = sum(len(content) for _, content in self.request.history)
        text = len(self.request.prefix) + len(self.request.answer) + len(self.request.suffix)
        return float((turns + text) / _CHARS_PER_TOKEN + limit)


@dataclass(frozen=True, slots=True)
class Dialect:
    """How a model is called: its name, chat or plain, and the server's name for the token limit."""

    model: str
    chat: bool
    limit: str  # OpenAI's newer models refuse max_tokens, which most other servers still require
    strict: bool = False  # OpenAI's own server refuses unknown fields

    def call(self, request: Request) -> Call:
        """Return the call that completes a request. Unsupported options are left for the server to refuse."""
        options = _sampling(request.decoding, request)
        if request.decoding.special_tokens == "keep" and not self.strict:
            options["skip_special_tokens"] = False  # vLLM's field
        return self._call(request, options, request.top_logprobs)

    def choice_call(self, request: Request) -> Call:
        """Return the call for the probabilities of the first token.

        Temperature 1: some servers apply it before they report probabilities.
        """
        first = Request(
            request.prefix,
            request.answer,
            request.suffix,
            request.history,
            request.chat,
            Decoding(max_new_tokens=1, temperature=1.0),
            extra=request.extra,
        )
        return self._call(first, {"temperature": 1.0}, _TOP_LOGPROBS[self._is_chat(request)])

    def _is_chat(self, request: Request) -> bool:
        return request.chat and self.chat

    def _call(self, request: Request, options: Body, top: int) -> Call:
        text = request.prefix + request.answer + request.suffix
        tokens = request.decoding.max_new_tokens
        extra = json.loads(request.extra) if request.extra else {}
        if not self._is_chat(request):
            asked: Body = {"logprobs": top} if top else {}
            body = {"model": self.model, "prompt": text, **options, "max_tokens": tokens, **asked, **extra}
            return Call("/completions", body, request, top > 0)
        turns = [{"role": role, "content": content} for role, content in request.history]
        messages = [*turns, {"role": "user", "content": text}]
        asked = {"logprobs": True, "top_logprobs": top} if top else {}
        body = {"model": self.model, "messages": messages, **options, self.limit: tokens, **asked, **extra}
        return Call("/chat/completions", body, request, top > 0)


def _sampling(decoding: Decoding, request: Request) -> Body:
    options: Body = {"temperature": decoding.temperature}
    if decoding.stop or decoding.stop_after:
        options["stop"] = [*decoding.stop, *decoding.stop_after]
    # vLLM's fields; a server without them refuses the call, which is better than returning another text.
    if decoding.stop_after:
        options["include_stop_str_in_output"] = True
    if decoding.repetition_penalty != 1.0:
        options["repetition_penalty"] = decoding.repetition_penalty
    if decoding.temperature > 0:
        options["top_p"] = decoding.top_p
        options["seed"] = int(digest([request.seed, request.sample])[:7], 16)
        if decoding.top_k:
            options["top_k"] = decoding.top_k
    return options


def parse_json(text: str) -> Any:
    """Return a reply's JSON. Raises ReplyError for anything else, such as HTML."""
    try:
        return json.loads(text)
    except ValueError:
        said = "not JSON; is base_url the address of an OpenAI-compatible server?"
        raise ReplyError(Fault.NOT_JSON, said) from None


def completion(reply: Any, call: Call, seconds: float) -> Completion:
    """Return the completion of a reply.

    Raises ReplyError where it is no completion, or lacks requested log-probabilities.
    """
    try:
        return _checked(reply, call, seconds)
    except ReplyError as error:
        usage = reply.get("usage") if isinstance(reply, dict) else None
        if isinstance(usage, dict):
            error.tokens = (_count(usage.get("prompt_tokens")), _count(usage.get("completion_tokens")))
        raise


def _count(number: Any) -> int:
    return number if isinstance(number, int) else 0


def _checked(reply: Any, call: Call, seconds: float) -> Completion:
    if isinstance(reply, dict) and isinstance(reply.get("error"), dict) and not reply.get("choices"):
        raise _wrapped_error(reply)  # some servers wrap upstream errors in a reply of status 200
    if not isinstance(reply, dict) or "choices" not in reply:
        raise ReplyError(Fault.WRONG_SHAPE, "JSON, but no completion")
    if not reply["choices"]:
        raise ReplyError(Fault.NO_CHOICES, "the reply holds no choices")
    try:
        return _completion(reply["choices"][0], reply.get("usage") or {}, call, seconds)
    except (AttributeError, IndexError, KeyError, TypeError, ValueError):
        raise ReplyError(Fault.WRONG_SHAPE, "JSON, but no completion that can be read") from None


def _wrapped_error(reply: Body) -> ReplyError:
    code = reply["error"].get("code")
    status = code if isinstance(code, int) and 400 <= code < 600 else 0
    fault = status_fault(status, reply) if status else Fault.WRONG_SHAPE
    return ReplyError(fault, f"the reply is an error: {reply['error'].get('message')}")


def _completion(choice: Body, usage: Body, call: Call, seconds: float) -> Completion:
    text, refused = _text(choice)
    finish = str(choice.get("finish_reason") or "stop")
    reason: FinishReason = "refusal" if refused else "length" if finish == "length" else "stop"
    error = None
    if finish == "content_filter":
        reason, error = "error", f"{Fault.FILTERED}: the server's content filter ended the answer"
    decoding = call.request.decoding
    ends = [text.index(stop) for stop in decoding.stop if stop in text]
    ends += [text.index(stop) + len(stop) for stop in decoding.stop_after if stop in text]
    ended_by = choice.get("stop_reason")
    by_string = bool(ends) or isinstance(ended_by, str) or ended_by in call.body.get("stop_token_ids", ())
    if by_string and reason in ("stop", "length"):
        reason = "stop_string"
    logprobs = _logprobs(choice.get("logprobs") or {}) if call.logprobs else ()
    if call.logprobs and not logprobs and reason not in ("refusal", "error"):
        raise ReplyError(Fault.NO_LOGPROBS, "the reply holds no log-probabilities")
    return Completion(
        text=text[: min(ends)].strip() if ends else text.strip(),
        finish_reason=reason,
        prompt_tokens=int(usage.get("prompt_tokens") or 0),
        completion_tokens=int(usage.get("completion_tokens") or 0),
        seconds=seconds,
        error=error,
        logprobs=logprobs,
    )


def _text(choice: Body) -> tuple[str, bool]:
    """Return the text, and whether it is a refusal; arguments of a tool call count as the text."""
    if "text" in choice:
        return str(choice["text"] or ""), False
    message: Body = choice["message"]
    called = message.get("function_call") or next(
        (tool["function"] for tool in message.get("tool_calls") or [] if tool.get("function")), None
    )
    if called:
        return str(called["arguments"]), False
    content = message.get("content")
    if isinstance(content, list):  # some servers answer in parts
        content = "".join(str(part.get("text") or "") for part in content)
    if not content and message.get("refusal"):
        return str(message["refusal"]), True
    if content is not None and not isinstance(content, str):
        raise TypeError(content)
    return content or "", False


def _logprobs(found: Body) -> tuple[dict[str, float], ...]:
    """Return one mapping per token, most probable first; chat and plain completions differ in format."""
    if found.get("content"):
        tops = [
            {top["token"]: float(top["logprob"]) for top in token.get("top_logprobs") or [token]}
            for token in found["content"]
        ]
    else:
        tops = [{k: float(v) for k, v in (top or {}).items()} for top in found.get("top_logprobs") or []]
    ordered = tuple(dict(sorted(top.items(), key=lambda pair: -pair[1])) for top in tops)
    return ordered if any(ordered) else ()


def choice_probabilities(done: Completion, choices: Sequence[str]) -> dict[str, float]:
    """Return the probability of each choice as the first token; empty where the call failed.

    A refusal gives every choice probability 0. A token counts for the one choice that begins with it; " m"
    counts as "m".
    """
    first: Mapping[str, float] = done.logprobs[0] if done.logprobs else {}
    if not first and done.finish_reason != "refusal":
        return {}
    found = dict.fromkeys(choices, 0.0)
    for token, logprob in first.items():
        meant = [choice for choice in choices if token.strip() and choice.startswith(token.strip())]
        if len(meant) == 1:
            found[meant[0]] += math.exp(min(logprob, 0.0))
    return found
