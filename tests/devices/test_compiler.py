from __future__ import annotations

import importlib.util

import pytest

from harness.devices.compiler import decide, find_cxx
from harness.errors import UsageError


@pytest.fixture
def with_compiler(tmp_path):
    """An environment whose g++ is a script that tells a version."""
    compiler = tmp_path / "g++"
    compiler.write_text("#!/bin/sh\necho 'g++ (Some Linux) 12.2.0'\necho more\n")
    compiler.chmod(0o755)
    return {"PATH": str(tmp_path)}


def test_the_compiler_is_the_one_inductor_would_call(with_compiler, tmp_path):
    assert find_cxx(with_compiler) == "g++ (Some Linux) 12.2.0"
    assert find_cxx({"PATH": str(tmp_path), "CXX": "clang++"}) is None
    assert find_cxx({"PATH": ""}) is None


def test_a_compiler_that_cannot_tell_its_version_is_none(tmp_path):
    compiler = tmp_path / "g++"
    compiler.write_text("#!/bin/sh\nexit 1\n")
    compiler.chmod(0o755)
    assert find_cxx({"PATH": str(tmp_path)}) is None


def test_auto_compiles_on_a_cpu_only_in_reduced_precision(with_compiler):
    decided = decide("auto", device_type="cpu", precision="fp32", environment=with_compiler)
    assert (decided.use, decided.reason) == (False, "gains little on a CPU in fp32")
    assert decide("auto", device_type="cpu", precision="bf16", environment=with_compiler).use


def test_nothing_compiles_without_a_compiler_and_on_requires_it():
    nothing = {"PATH": ""}
    auto = decide("auto", device_type="cpu", precision="bf16", environment=nothing)
    assert (auto.use, auto.required, auto.reason) == (False, False, "no C++ compiler")
    on = decide("on", device_type="cpu", precision="fp32", environment=nothing)
    assert (on.use, on.required) == (False, True)


def test_off_is_off(with_compiler):
    assert decide("off", device_type="cpu", precision="bf16", environment=with_compiler).use is False


def test_cuda_needs_triton_too(with_compiler, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert decide("auto", device_type="cuda", precision="fp32", environment=with_compiler).reason == "no Triton"
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object())
    assert decide("auto", device_type="cuda", precision="fp32", environment=with_compiler).use


def test_an_unknown_word_names_the_nearest():
    with pytest.raises(UsageError, match="compile = 'atuo'") as caught:
        decide("atuo", device_type="cpu", precision="fp32")
    assert caught.value.hint == "did you mean 'auto'?"
