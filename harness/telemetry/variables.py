"""The environment variables that change how fast a workload runs, recorded without secrets.

Standard library only, so that a worker under any interpreter can report the variables it really saw.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

# Thread pools, math libraries, allocators, compilers and the devices' run-times, by their documented prefixes.
PREFIXES = (
    "OMP_",
    "GOMP_",
    "KMP_",
    "MKL_",
    "DNNL_",
    "ONEDNN_",
    "OPENBLAS_",
    "GOTO_",
    "BLIS_",
    "NUMEXPR_",
    "NUMBA_",
    "TORCH",  # TORCH_*, TORCHINDUCTOR_*, TORCHDYNAMO_*
    "PYTORCH_",
    "ATEN_",
    "TRITON_",
    "CUDA_",
    "CUBLAS",
    "CUDNN_",
    "NVIDIA_",
    "NCCL_",
    "GLOO_",
    "ASCEND_",
    "ACL_",
    "HCCL_",
    "NPU_",
    "TASK_QUEUE_ENABLE",
    "COMBINED_ENABLE",
    "CPU_AFFINITY_CONF",
    "POPLAR_",
    "POPTORCH_",
    "IPUOF_",
    "GCDA_",
    "MALLOC_",
    "GLIBC_TUNABLES",
    "LD_PRELOAD",
    "PYTHONMALLOC",
    "PYTHONHASHSEED",
    "PYTHONOPTIMIZE",
)

SECRET_NAME = re.compile(r"TOKEN|SECRET|PASSW|CREDENTIAL|AUTH|PRIVATE|API_?KEY|ACCESS_?KEY|_KEY$|COOKIE", re.IGNORECASE)
SECRET_VALUE = re.compile(r"://[^/\s]*@")  # a user and a password in an address

LONGEST_VALUE = 500


def relevant_variables(environ: Mapping[str, str]) -> dict[str, str]:
    """The variables that matter, in alphabetical order; the home folder is written `~`, long values are cut.

    A variable that looks like a secret, by its name or by an address with a password, is left out whole.
    """
    home = environ.get("HOME", "").rstrip("/")
    recorded: dict[str, str] = {}
    for name in sorted(environ):
        value = environ[name]
        if not name.startswith(PREFIXES) or SECRET_NAME.search(name) or SECRET_VALUE.search(value):
            continue
        if home:
            value = re.sub(rf"{re.escape(home)}(?=/|:|$)", "~", value)
        recorded[name] = value if len(value) <= LONGEST_VALUE else value[: LONGEST_VALUE - 1] + "…"
    return recorded
