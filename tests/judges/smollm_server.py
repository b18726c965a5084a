"""A TEST server: SmolLM2-135M behind OpenAI's chat protocol, with the log-probabilities of every new token.

Calls that come together are answered together. It is slow, knows greedy decoding only, and is for tests only.
"""

import queue
import threading
from concurrent.futures import Future

from tests.engines.servers import as_json, chat_reply

_TOGETHER = 12
_PATIENCE = 0.05


class SmolLM2Server:
    """``serving(SmolLM2Server())``; ``calls`` counts what was answered."""

    def __init__(self):
        from transformers import AutoModelForCausalLM, AutoTokenizer

        from aligner_bench.engines.embedded import converted_smollm2

        source = str(converted_smollm2())
        self._tokenizer = AutoTokenizer.from_pretrained(source, padding_side="left")
        self._model = AutoModelForCausalLM.from_pretrained(source, dtype="bfloat16").eval()
        self._waiting = queue.Queue()
        self.calls = 0
        threading.Thread(target=self._work, daemon=True).start()

    def __call__(self, path, body, headers):
        done = Future()
        self._waiting.put((body, done))
        return as_json(done.result())

    def _work(self):
        while True:
            batch = [self._waiting.get()]
            try:
                while len(batch) < _TOGETHER:
                    batch.append(self._waiting.get(timeout=_PATIENCE))
            except queue.Empty:
                pass
            for length in {body["max_tokens"] for body, _ in batch}:
                part = [(body, done) for body, done in batch if body["max_tokens"] == length]
                try:
                    replies = self._replies([body for body, _ in part], length)
                except Exception as error:  # the handler's thread answers with it
                    for _, done in part:
                        done.set_exception(error)
                    continue
                for (_, done), reply in zip(part, replies, strict=True):
                    done.set_result(reply)

    def _replies(self, bodies, length):
        import torch

        texts = [
            self._tokenizer.apply_chat_template(body["messages"], tokenize=False, add_generation_prompt=True)
            for body in bodies
        ]
        inputs = self._tokenizer(texts, return_tensors="pt", padding=True, add_special_tokens=False)
        with torch.inference_mode():
            made = self._model.generate(
                **inputs, max_new_tokens=length, do_sample=False, output_scores=True,
                return_dict_in_generate=True, pad_token_id=self._tokenizer.pad_token_id,
            )  # fmt: skip
        width = inputs["input_ids"].shape[1]
        self.calls += len(bodies)
        return [
            self._reply(body, made.sequences[i, width:].tolist(), [s[i] for s in made.scores], int(read))
            for i, (body, read) in enumerate(zip(bodies, inputs["attention_mask"].sum(-1), strict=True))
        ]

    def _reply(self, body, ids, scores, read):
        end = self._tokenizer.eos_token_id
        ended = end in ids
        ids = ids[: ids.index(end)] if ended else ids
        text = self._tokenizer.decode(ids, skip_special_tokens=True)
        more = {}
        if body.get("logprobs"):
            more["logprobs"] = {"content": [self._tops(row, body["top_logprobs"]) for row in scores]}
        return chat_reply(text, "stop" if ended else "length", read, len(ids), **more)

    def _tops(self, scores, count):
        import torch

        best = torch.log_softmax(scores.double(), -1).topk(count)
        tops = [
            {"token": self._tokenizer.decode([token]), "logprob": value, "bytes": None}
            for token, value in zip(best.indices.tolist(), best.values.tolist(), strict=True)
        ]
        return {**tops[0], "top_logprobs": tops}
