"""Starts vLLM's OpenAI-compatible server and ends with whoever started it.

Run as a file by the interpreter that has vLLM, which need not have aligner-bench: nothing of it is imported
here. The starter holds the other end of standard input; when it is gone, in whatever way, so is this server
with all its processes.
"""

from __future__ import annotations

import os
import runpy
import signal
import sys
import threading


def _end_with_starter() -> None:
    while os.read(0, 1):
        pass
    os.killpg(0, signal.SIGKILL)  # the starter made us the leader of a group of our own


if __name__ == "__main__":
    threading.Thread(target=_end_with_starter, daemon=True).start()
    sys.argv[0] = "vllm.entrypoints.openai.api_server"
    runpy.run_module("vllm.entrypoints.openai.api_server", run_name="__main__", alter_sys=True)
