"""What this machine has, and whether a replica fits into it."""

from __future__ import annotations

import os
import shutil
import subprocess
from importlib.util import find_spec
from pathlib import Path

import psutil

from brixa_flows.deployment.config import DeploymentSpec
from brixa_flows.deployment.quantities import cpu_cores, memory_bytes
from brixa_flows.errors import InvalidDeploymentError, MissingExtraError

__all__ = ["check_fits", "check_installed", "count_gpus", "replica_environment"]

_THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def count_gpus() -> int:
    """NVIDIA GPUs that a process started here would see."""
    return len(_visible_gpus())


def _visible_gpus() -> list[str]:
    """What each of them is called in CUDA_VISIBLE_DEVICES."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        parts = [part.strip() for part in visible.split(",")]
        return [part for part in parts if part not in ("", "-1")]
    devices = len(list(Path("/dev").glob("nvidia[0-9]*")))
    command = shutil.which("nvidia-smi")
    if not devices and command is not None:
        devices = _listed_by(command)
    return [str(index) for index in range(devices)]


def _listed_by(nvidia_smi: str) -> int:
    """GPUs that the driver's tool lists; one that hangs or fails lists none."""
    try:
        listed = subprocess.run(
            [nvidia_smi, "-L"], capture_output=True, text=True, timeout=10, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return 0
    return listed.stdout.count("GPU ") if listed.returncode == 0 else 0


def check_fits(spec: DeploymentSpec) -> None:
    """Return if the machine has what the replicas ask for.

    Raises:
        InvalidDeploymentError: If it has not; says what it has.
    """
    resources = spec.resources
    cores = os.cpu_count() or 1
    if cpu_cores(resources.cpu) > cores:
        raise InvalidDeploymentError(
            f"resources.cpu = {resources.cpu!r}: a replica can't have more than the "
            f"{cores} cores of this machine"
        )
    total_bytes = psutil.virtual_memory().total
    if memory_bytes(resources.memory) > total_bytes:
        raise InvalidDeploymentError(
            f"resources.memory = {resources.memory!r}: this machine has only "
            f"{total_bytes / 2**30:.1f}Gi; ask for less (the default is "
            "BRXA_DEFAULT_MEMORY)"
        )
    if resources.gpu:
        _check_gpus(spec, count_gpus())


def check_installed(spec: DeploymentSpec) -> None:
    """Return if replicas can speak the protocol here.

    Raises:
        MissingExtraError: If they can't; names what to install.
    """
    if spec.protocol == "rest":
        return
    try:
        found = find_spec("grpc") and find_spec("google.protobuf")
    except ModuleNotFoundError:  # of the package ``google``
        found = None
    if found is None:
        raise MissingExtraError("serving over gRPC", "grpc", "grpcio or protobuf")


def _check_gpus(spec: DeploymentSpec, gpus: int) -> None:
    wanted = spec.resources.gpu * spec.replicas
    if wanted > gpus:
        raise InvalidDeploymentError(
            f"resources.gpu = {spec.resources.gpu} for {spec.replicas} replicas asks "
            f"for {wanted} GPUs, but this machine has {gpus} GPUs; ask for fewer, or "
            "leave gpu out to serve on the CPU"
        )


def replica_environment(spec: DeploymentSpec, place: int) -> dict[str, str]:
    """Variables of a replica beside those it inherits; ``env_vars`` win over ours.

    Args:
        spec: What is served.
        place: Which of the replicas it is; it decides its GPUs.
    """
    threads = str(max(1, round(cpu_cores(spec.resources.cpu))))
    ours = {name: threads for name in _THREAD_VARIABLES if not os.environ.get(name)}
    gpus = spec.resources.gpu
    visible = _visible_gpus() if gpus else []
    first = place * gpus
    chosen = [visible[(first + i) % len(visible)] for i in range(gpus) if visible]
    ours["CUDA_VISIBLE_DEVICES"] = ",".join(chosen)
    return {**ours, **spec.env_vars}
