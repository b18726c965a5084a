"""The registry of engines."""

from __future__ import annotations

from aligner_bench.core.registry import Registry

ENGINES = Registry(
    "engine",
    "aligner_bench.engines",
    {
        "hf": "aligner_bench.engines.hf:HFModel",
        "replay": "aligner_bench.engines.replay:ReplayModel",
        "openai": "aligner_bench.engines.openai:OpenAIModel",
        "vllm": "aligner_bench.engines.vllm:VLLMModel",
        "vllm-server": "aligner_bench.engines.vllm_server:VLLMServerModel",
        "openvino": "aligner_bench.engines.openvino:OpenVINOModel",
    },
    field="engine",
    extras={"hf": "hf", "openai": "openai", "vllm": "vllm", "openvino": "openvino"},
)
