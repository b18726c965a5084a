"""Mutation test: apply one small fault after another to a copy of the package, and see which tests find it.

The mutants stand in ``mutants.toml``. Each is killed if its tests fail or run out of time, and survives if
they pass. The tests are run without a mutant first, since a test that fails anyway kills nothing.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import re
import shlex
import shutil
import sys
import tempfile
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

if __name__ != "__mp_main__":
    from _common import RESULTS, arguments, finish

ROOT = Path(__file__).resolve().parents[1]
LIST = Path(__file__).with_suffix(".toml")
COPIED = ("aligner_bench", "tests", "suites", "experiments", "leaderboards", "docs", "pyproject.toml")
GOAL = 0.9
TIMEOUT = 300.0
"""Seconds for one mutant's tests; a mutant that needs more is killed."""
PRELOADED = ("pytest", "hypothesis", "scipy.stats", "statsmodels.api", "sklearn.metrics", "pandas", "evalica",
             "pyarrow.parquet", "pydantic", "typer", "yaml", "numpy", "jinja2")  # fmt: skip
"""Imported once, in the process that all test processes are forked from. Nothing of the package is."""


class Mutant(NamedTuple):
    """Replace ``old``, which occurs once in ``file``, by ``new``; ``tests`` are pytest arguments."""

    file: str
    says: str
    old: str
    new: str
    tests: str


def read_mutants(path: Path = LIST) -> list[Mutant]:
    """All mutants of the list, in its order."""
    files = tomllib.loads(path.read_text("utf-8"))["file"]
    return [
        Mutant(file["path"], says, old, new, *(tests or [file["tests"]]))
        for file in files
        for says, old, new, *tests in file["mutants"]
    ]


def mutated(source: str, mutant: Mutant) -> str:
    """The source with the mutant applied; ValueError where the fragment does not occur exactly once."""
    found = source.count(mutant.old)
    if found != 1:
        raise ValueError(f"{mutant.file}: {mutant.old!r} occurs {found} times, expected once ({mutant.says})")
    return source.replace(mutant.old, mutant.new)


class Copy:
    """A copy of the repository in a temporary folder, in which mutants are applied and tests are run."""

    def __init__(self, home: Path, data: Path) -> None:
        self.home, self.root = home, home / "repository"
        self.root.mkdir()
        for name in COPIED:
            source = ROOT / name
            if source.is_dir():
                shutil.copytree(source, self.root / name, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(source, self.root / name)
        if data.is_dir():
            (home / "shared").symlink_to(data.parent)
        self._stamp = 1_000_000_000
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(list(PRELOADED))

    def run(self, tests: str) -> tuple[int | None, str]:
        """pytest's exit code (None: out of time) and output."""
        log = self.home / "log"
        child = self._context.Process(target=_tests, args=(str(self.root), str(log), tests))
        child.start()
        child.join(TIMEOUT)
        if child.is_alive():
            child.kill()
            child.join()
            return None, "out of time"
        return child.exitcode, log.read_text("utf-8", "replace")

    def verdict(self, mutant: Mutant) -> str:
        """``killed`` or ``survived``; ValueError where the tests could not be run."""
        path = self.root / mutant.file
        source = path.read_text("utf-8")
        self._write(path, mutated(source, mutant))
        try:
            code, output = self.run(mutant.tests)
        finally:
            self._write(path, source)
        if code not in (0, 1, None):
            raise ValueError(f"{mutant.file}: {mutant.says}: pytest ended with {code}:\n{output[-2000:]}")
        return "survived" if code == 0 else "killed"

    def _write(self, path: Path, text: str) -> None:
        path.write_text(text, "utf-8")
        # Byte code is kept by size and whole seconds: two mutants within a second could share it.
        self._stamp += 1
        os.utime(path, (self._stamp, self._stamp))


def _tests(root: str, log: str, tests: str) -> None:
    """Run pytest in this process, which was forked for it; nothing is written outside the copy's folder."""
    home = str(Path(root).parent)
    os.environ |= {"TMPDIR": home, "HOME": home, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    tempfile.tempdir = home
    out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(out, 1)
    os.dup2(out, 2)
    os.chdir(root)
    os.environ["PYTHONPATH"] = root
    sys.path[:] = [root, *(p for p in sys.path if p not in ("", str(ROOT), str(ROOT / "benchmarks")))]
    import pytest
    from hypothesis import Phase, settings

    # A counterexample is enough, the smallest one is not needed; the same examples in every run.
    phases = (Phase.explicit, Phase.generate)
    settings.register_profile("mutants", phases=phases, derandomize=True, database=None, deadline=None)
    settings.load_profile("mutants")
    options = ["-x", "-q", "--tb=line", "-p", "no:cacheprovider", f"--basetemp={home}/pytest"]
    code = pytest.main([*shlex.split(tests), *options])
    sys.stdout.flush()
    os._exit(int(code))


def unmutated(mutants: Iterable[Mutant]) -> list[str]:
    """The tests of all mutants with each file named once: pytest arguments."""
    found: dict[tuple[str, ...], list[str]] = {}
    for tests in dict.fromkeys(mutant.tests for mutant in mutants):
        *files, flag, expression = (
            (*shlex.split(tests), "-k", "") if " -k " not in tests else shlex.split(tests)
        )
        if flag != "-k" or any(word.startswith("-") for word in files):
            raise ValueError(f"{tests!r}: expected files, then -k EXPRESSION if any")
        found.setdefault(tuple(files), []).append(expression)
    return [
        " ".join(files) + ("" if "" in some else f" -k {shlex.quote(' or '.join(f'({e})' for e in some))}")
        for files, some in found.items()
    ]


def check_tests(copy: Copy, mutants: Iterable[Mutant]) -> None:
    """Run all tests without a mutant; ValueError where one fails or nothing is selected."""
    for tests in unmutated(mutants):
        code, output = copy.run(tests)
        if code != 0:
            raise ValueError(f"pytest {tests} ends with {code} without a mutant:\n{output[-2000:]}")


def summary(verdicts: Mapping[Mutant, str], kept: Mapping[str, Any]) -> dict[str, Any]:
    """The published row: totals, and by file what survived; ``kept`` has earlier results by file."""
    files = {mutant.file: {"killed": 0, "survived": []} for mutant in verdicts}
    for mutant, verdict in verdicts.items():
        if verdict == "killed":
            files[mutant.file]["killed"] += 1
        else:
            files[mutant.file]["survived"].append(mutant.says)
    every = {**kept, **files}
    killed = sum(file["killed"] for file in every.values())
    survivors = [f"{name}: {says}" for name, file in every.items() for says in file["survived"]]
    total = killed + len(survivors)
    ratio = round(killed / total, 4) if total else 0.0
    row = {"name": "mutants", "killed": killed, "total": total, "ratio": ratio, "goal": GOAL}
    return {**row, "ok": ratio >= GOAL, "survivors": survivors, "files": every}


def saved(mutants: Iterable[Mutant]) -> dict[str, Any]:
    """The saved results of other files than those of ``mutants``, as far as these are still in the list."""
    path = RESULTS / "mutants.json"
    if not path.is_file():
        return {}
    files = json.loads(path.read_text("utf-8"))["results"]["files"]
    listed = {mutant.file for mutant in read_mutants()} - {mutant.file for mutant in mutants}
    return {name: file for name, file in files.items() if name in listed}


def main() -> None:
    """Run all mutants (``--quick``: every tenth) and print a table."""

    def extra(parser: Any) -> None:
        parser.add_argument("--only", default="", help="pattern of the files to mutate; others as saved")

    options = arguments(__doc__ or "", extra)
    mutants = [m for m in read_mutants() if re.search(options.only, m.file)][:: 10 if options.quick else 1]
    with tempfile.TemporaryDirectory(prefix="mutants-") as home:
        copy = Copy(Path(home), options.data_dir)
        check_tests(copy, mutants)
        verdicts = {}
        for mutant in mutants:
            verdicts[mutant] = copy.verdict(mutant)
            print(f"{verdicts[mutant]:8} {mutant.file}: {mutant.says}", flush=True)
    finish("mutants", [summary(verdicts, saved(mutants) if options.only else {})], options)


if __name__ == "__main__":
    main()
