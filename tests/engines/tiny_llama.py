"""A language model of two narrow layers with SmolLM2's tokenizer: quick, and as real as any to the engine."""

from __future__ import annotations

from pathlib import Path


def write_tiny_llama(folder: Path, seed: int = 0) -> Path:
    """A random two-layer Llama whose logits lie well apart, with grouped key heads as SmolLM2 has them."""
    import torch
    from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

    from aligner_bench.engines.embedded import converted_smollm2

    tokenizer = AutoTokenizer.from_pretrained(converted_smollm2())
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=48,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=6,
        num_key_value_heads=2,
        head_dim=16,
        max_position_embeddings=1024,
        initializer_range=0.3,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = LlamaForCausalLM(config)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
