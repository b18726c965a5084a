"""The command line within the test's own process, where many calls are made."""

from __future__ import annotations

import subprocess
import sys

import pytest

from aligner_bench.cli.main import main


@pytest.fixture
def command(capsys, monkeypatch):
    """``aligner-bench ARGUMENTS`` within this process: exit code, stdout and stderr."""

    def call(*arguments: object, **variables: str) -> subprocess.CompletedProcess[str]:
        with monkeypatch.context() as patch:
            patch.setattr(sys, "argv", ["aligner-bench", *map(str, arguments)])
            for name, value in variables.items():
                patch.setenv(name, value)
            capsys.readouterr()
            try:
                main()
                code = 0
            except SystemExit as end:
                code = int(end.code or 0)
        said = capsys.readouterr()
        return subprocess.CompletedProcess(arguments, code, said.out, said.err)

    return call
