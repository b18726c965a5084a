"""``doctor``: it names what is missing and the line that installs it, and it never hangs or imports much."""

from __future__ import annotations

import json
import re
import socket
import tomllib
from importlib.util import find_spec

import pytest

from aligner_bench import doctor
from aligner_bench.doctor import CORE, EXTRAS, examine
from tests.conftest import ROOT
from tests.test_startup import heavy_after

HUB = "hugging face hub"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def bare(requirement: str) -> str:
    return re.split(r"[<>=!\[; ]", requirement)[0]


def of(name: str, **options):
    return next(finding for finding in examine(hub=False, **options) if finding.name == name)


def test_the_command_says_what_is_there_as_text_and_json(cli):
    shown = cli("doctor")
    assert shown.returncode == 0, shown.stderr
    assert "HF_HUB_OFFLINE is set" in shown.stdout
    data = json.loads(cli("doctor", "--format", "json").stdout)
    found = {finding["name"]: finding for finding in data["findings"]}
    assert found["core"]["state"] == "ok"
    assert set(EXTRAS) <= set(found)
    assert {"python", "processor", "memory", "gpu", "cache", "hub cache", HUB, "free"} <= set(found)
    for finding in data["findings"]:
        assert (finding["state"] == "missing") == bool(finding["install"])


def test_each_extra_is_one_of_the_project_and_asks_for_its_packages():
    declared = PROJECT["optional-dependencies"]
    of_users = re.search(r"\[(.*)\]", declared["all"][0])[1].split(",")
    assert {*of_users, "vllm"} <= set(EXTRAS) <= set(declared)
    for name, extra in EXTRAS.items():
        assert {package for _, package in extra.packages} <= {bare(line) for line in declared[name]}, name
    assert {package for _, package in CORE} == {bare(line) for line in PROJECT["dependencies"]}


def test_dev_brings_every_extra_that_has_tests():
    brought = re.search(r"\[(.*)\]", PROJECT["optional-dependencies"]["dev"][0])[1].split(",")
    assert set(brought) == set(EXTRAS) - {"vllm", "train", "ray"}  # an environment of its own; not built yet


def test_states_are_those_of_this_machine():
    for name, extra in EXTRAS.items():
        absent = [package for module, package in extra.packages if find_spec(module) is None]
        finding = of(name)
        assert finding.state == ("missing" if absent else "ok")
        line = extra.command or f"pip install 'aligner-bench[{name}]'"
        assert finding.install == (line if absent else "")
        assert f"pip install 'aligner-bench[{name}]'" in line
        assert all(package in finding.detail for package in absent)


def test_a_missing_package_is_named_with_its_line(monkeypatch):
    monkeypatch.setitem(
        EXTRAS, "hf", EXTRAS["hf"]._replace(packages=(("no_such_module", "no-such-package"),))
    )
    finding = of("hf")
    assert finding.state == "missing"
    assert "without no-such-package" in finding.detail
    assert finding.install == "pip install 'aligner-bench[hf]'"


def test_embedded_models(models):
    for name in ("smollm2-135m-instruct", "minilm-l6"):
        assert of(name).state == "ok"
        assert "MiB" in of(name).detail


def test_folders_and_their_sizes(monkeypatch, tmp_path):
    (tmp_path / "deep" / "er").mkdir(parents=True)
    (tmp_path / "deep" / "er" / "file").write_bytes(b"x" * 2048)
    (tmp_path / "loop").symlink_to(tmp_path)
    monkeypatch.setenv("ALIGNER_BENCH_CACHE", str(tmp_path))
    monkeypatch.setenv("ALIGNER_BENCH_DATA", str(tmp_path / "none"))
    assert of("cache").detail == f"{tmp_path}: 2.0 KiB"
    assert of("local data sets").state == "off"
    monkeypatch.setenv("ALIGNER_BENCH_CACHE", str(tmp_path / "later"))
    assert of("cache").detail.endswith("not created yet")


def test_a_key_is_never_shown(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-very-secret")
    assert of("OPENAI_API_KEY").state == "ok"
    assert "very-secret" not in " ".join(finding.detail for finding in examine(hub=False))


@pytest.fixture
def online(monkeypatch):
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.delenv("TRANSFORMERS_OFFLINE", raising=False)
    monkeypatch.setenv("no_proxy", "127.0.0.1")


def hub_at(address, monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", address)
    return next(finding for finding in examine(hub=True) if finding.name == HUB)


def test_offline_makes_no_request(monkeypatch):
    monkeypatch.setattr(doctor, "_reach", lambda address: pytest.fail("the network was asked"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    found = next(finding for finding in examine(hub=True) if finding.name == HUB)
    assert found.state == "off"
    assert "HF_HUB_OFFLINE" in found.detail
    monkeypatch.delenv("HF_HUB_OFFLINE")
    assert of(HUB).detail == "not asked"


def test_a_hub_that_refuses_and_one_that_never_answers(online, monkeypatch):
    monkeypatch.setattr(doctor, "_TIMEOUT", 0.3)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        found = hub_at(f"http://127.0.0.1:{silent.getsockname()[1]}", monkeypatch)
        assert found.state == "off"
        assert "cannot be reached" in found.detail
    assert "cannot be reached" in hub_at("http://127.0.0.1:9", monkeypatch).detail
    assert "not an http address" in hub_at("file:///etc/passwd", monkeypatch).detail


def test_a_hub_that_answers(online, monkeypatch):
    import threading
    from http.server import BaseHTTPRequestHandler, HTTPServer

    class Refuses(BaseHTTPRequestHandler):
        def do_HEAD(self):
            self.send_response(403)
            self.end_headers()

        def log_message(self, *arguments):
            pass

    with HTTPServer(("127.0.0.1", 0), Refuses) as server:
        threading.Thread(target=server.handle_request, daemon=True).start()
        assert hub_at(f"http://127.0.0.1:{server.server_port}", monkeypatch).state == "ok"


@pytest.mark.parametrize("command", ["verify", "compare", "gate", "doctor"])
def test_help_is_light(command):
    body = "from aligner_bench.cli.main import main; main()"
    assert heavy_after(body, [command, "--help"]) == "[]"


def test_doctor_itself_is_light():
    assert heavy_after("from aligner_bench.doctor import examine; examine(hub=False)", []) == "[]"
