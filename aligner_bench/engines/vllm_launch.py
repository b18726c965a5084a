"""Start vLLM's OpenAI-compatible server and end it with the process that started it.

Run as a file by the interpreter that has vLLM, which may lack aligner-bench: nothing of it is imported
here. The parent holds the other end of standard input; when the parent ends, however it ends, this server
ends with all its processes.
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
    os.killpg(0, signal.SIGKILL)  # the parent made this process the leader of its own group


if __name__ == "__main__":
    threading.Thread(target=_end_with_starter, daemon=True).start()
    sys.argv[0] = "vllm.entrypoints.openai.api_server"
    runpy.run_module("vllm.entrypoints.openai.api_server", run_name="__main__", alter_sys=True)
