"""Where it was measured: the machine, the interpreters, and the versions of all contenders."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sysconfig
from importlib import metadata
from pathlib import Path
from typing import Any

from benchmarks.contenders import interpreter

__all__ = ["describe"]

DISTRIBUTIONS = {
    "msgspec": "ours",
    "openai-codex": "sdk",
    "openai-codex-cli-bin": "ours",
    "codex-app-server-sdk": "cas",
}
ASK = (
    "import json, platform, sys; from importlib import metadata;"
    " print(json.dumps([metadata.version(sys.argv[1]), platform.python_version()]))"
)


def describe() -> dict[str, Any]:
    """Name the machine, how busy it is, and the versions."""
    optimised = "--enable-optimizations" in str(sysconfig.get_config_var("CONFIG_ARGS"))
    return {
        "cpu": _processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "system": f"{platform.system()} {platform.release()}",
        "python": f"{platform.python_implementation()} {platform.python_version()} ({'' if optimised else 'no '}PGO)",
        "load": round(os.getloadavg()[0], 1),
        "versions": _versions(),
    }


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _versions() -> dict[str, str]:
    versions = {"codex-runtime": metadata.version("codex-runtime")}
    for name, contender in DISTRIBUTIONS.items():
        python = interpreter(contender)
        if python is None:
            continue
        done = subprocess.run([python, "-c", ASK, name], check=False, capture_output=True, text=True)
        if done.returncode == 0:
            version, of_python = json.loads(done.stdout)
            versions[name] = version if of_python == platform.python_version() else f"{version}, on CPython {of_python}"
    return versions
