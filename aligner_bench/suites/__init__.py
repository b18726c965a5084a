"""Loading and validating suites: named, versioned, hashed sets of prompts."""

from aligner_bench.suites.load import load_suite, suite_names
from aligner_bench.suites.types import Message, Prompt, Suite

__all__ = ["Message", "Prompt", "Suite", "load_suite", "suite_names"]
