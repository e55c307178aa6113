"""The façade: all names in one place, each module loaded when it is first needed."""

from __future__ import annotations

import subprocess
import sys

import pytest

from codex_runtime import protocol
from codex_runtime.protocol import _generated


def loaded_after(code: str) -> set[str]:
    """The generated modules a fresh interpreter has loaded after running ``code``."""
    report = "import sys; print(*[m.rpartition('.')[2] for m in sys.modules if '.protocol._generated.' in m])"
    done = subprocess.run([sys.executable, "-c", f"{code}\n{report}"], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_importing_the_package_loads_no_types() -> None:
    """Only the table of methods, which is plain data."""
    assert loaded_after("import codex_runtime.protocol") == {"methods"}


def test_a_name_loads_its_module_and_no_strangers() -> None:
    """Files are copied without a thought for threads."""
    assert loaded_after("from codex_runtime.protocol import FsCopyParams") == {"methods", "fs"}


def test_a_decoder_loads_what_it_needs() -> None:
    """Reading an event of one namespace leaves the others alone."""
    code = 'from codex_runtime.protocol import decode_message; decode_message(b\'{"method":"skills/changed"}\')'
    assert loaded_after(code) == {"methods", "skills"}


def test_every_name_can_be_had() -> None:
    """What is listed exists, and comes from the module the index names."""
    for module, names in _generated.MODULES.items():
        for name in names:
            thing = getattr(protocol, name)
            assert thing is str or thing.__module__ == f"codex_runtime.protocol._generated.{module}"


def test_the_names_are_listed_once() -> None:
    """``__all__`` and ``dir`` know the generated names; nothing hides behind a number."""
    assert len(protocol.__all__) == len(set(protocol.__all__))
    assert set(protocol.__all__) <= set(dir(protocol))
    assert {name for name in _generated.__all__ if name[-1].isdigit()} == {"ToolsV2"} & set(_generated.__all__)


def test_an_unknown_name_is_an_attribute_error() -> None:
    """The message is the one Python itself would give."""
    with pytest.raises(AttributeError, match=r"module 'codex_runtime\.protocol' has no attribute 'Nonsense'"):
        _ = protocol.Nonsense  # type: ignore[attr-defined]
