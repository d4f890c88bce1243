"""Servers of others for one scikit-learn model, each in a virtual environment of its own.

An environment is made once below ``.venv-peers/NAME`` by pip, which needs the network. Each
server gets the folder of the model, ``model.joblib``, and a port.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

COLUMNS = [f"c{place}" for place in range(10)]
ROW = dict.fromkeys(COLUMNS, 0.5)
_ENVIRONMENTS = Path(__file__).parents[1] / ".venv-peers"
_SKLEARN = f"scikit-learn=={version('scikit-learn')}"
_NEEDS = {
    "kserve": ["kserve==0.21.0", _SKLEARN],
    # Its workers ask uvloop for a loop that newer ones don't make.
    "mlserver": ["mlserver==1.7.1", "mlserver-sklearn==1.7.1", "uvloop<0.22", _SKLEARN],
    "bentoml": ["bentoml==1.4.40", _SKLEARN],
}
_START_SECONDS = 120

FASTAPI = """
import sys
import joblib, numpy as np, uvicorn
from fastapi import FastAPI, Request
folder, port = sys.argv[1:]
model = joblib.load(f"{folder}/model.joblib")
app = FastAPI()

@app.post("/predict")
async def predict(request: Request):
    records = (await request.json())["records"]
    rows = np.array([list(record.values()) for record in records])
    return {"predictions": model.predict_proba(rows).tolist()}

uvicorn.run(app, port=int(port), loop="uvloop", http="httptools", access_log=False)
"""
KSERVE = """
import sys
import joblib, numpy as np
from kserve import InferOutput, InferResponse, Model, ModelServer
folder, port, grpc_port = sys.argv[1:]

class Served(Model):
    def load(self):
        self.model = joblib.load(f"{folder}/model.joblib")
        self.ready = True

    def predict(self, payload, headers=None, response_headers=None):
        rows = np.column_stack([each.as_numpy() for each in payload.inputs])
        output = InferOutput("predict", [len(rows), 2], "FP64")
        output.set_data_from_numpy(self.model.predict_proba(rows), binary_data=False)
        return InferResponse("1", self.name, [output])

served = Served("lr")
served.load()
server = ModelServer(
    http_port=int(port), grpc_port=int(grpc_port), workers=1, access_log_format=None
)
server.start([served])
"""
SAVE = """
import sys
import joblib, mlflow.sklearn
model = joblib.load(f"{sys.argv[1]}/model.joblib")
mlflow.sklearn.save_model(model, f"{sys.argv[1]}/saved")
"""
BENTOML = """
import bentoml, joblib, numpy as np, os

@bentoml.service
class Served:
    def __init__(self) -> None:
        self.model = joblib.load(os.environ["MODEL_FOLDER"] + "/model.joblib")

    @bentoml.api
    def predict(self, records: list[dict[str, float]]) -> list[list[float]]:
        rows = np.array([list(record.values()) for record in records])
        return self.model.predict_proba(rows).tolist()
"""


class Endpoint(NamedTuple):
    """A server that is asked.

    Attributes:
        url: Its address; ``host:port`` for gRPC.
        pid: Of the process that is the parent of all of its processes.
        body: Of a request of one row.
        path: That is asked.
    """

    url: str
    pid: int
    body: str
    path: str = "/predict"

    def over_grpc(self, address: str) -> Endpoint:
        """The same server, asked by another protocol."""
        return self._replace(url=address, body=json.dumps({"records": [ROW]}))


def tensors(one: bool) -> str:
    """A row in the Open Inference Protocol, as one tensor or one of each column."""
    if one:
        shape, data = [1, len(ROW)], list(ROW.values())
        inputs = [{"name": "x", "shape": shape, "datatype": "FP64", "data": data}]
    else:
        inputs = [
            {"name": name, "shape": [1], "datatype": "FP64", "data": [value]}
            for name, value in ROW.items()
        ]
    return json.dumps({"inputs": inputs})


def python_of(peer: str) -> Path:
    """The interpreter of a peer's environment, made if it is not there."""
    folder = _ENVIRONMENTS / peer
    python, whole = folder / "bin/python", folder / ".created"
    if not whole.exists():
        print(f"making {folder.name} of {', '.join(_NEEDS[peer])}", file=sys.stderr)
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        install = [str(python), "-m", "pip", "install", "-q", *_NEEDS[peer]]
        subprocess.run(install, check=True)
        whole.touch()
    return python


def free_port() -> int:
    """A port that nobody uses."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


@contextlib.contextmanager
def _running(
    command: list[object], port: int, folder: Path, **env: str
) -> Iterator[int]:
    """A server that listens; gives its process."""
    log = folder / f"server-{port}.log"
    inherited = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    with log.open("wb") as out:
        process = subprocess.Popen(
            list(map(str, command)),
            cwd=folder,
            env={**inherited, "OMP_NUM_THREADS": "1", **env},
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        _wait_until_open(port, process, log)
        yield process.pid
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_until_open(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port)).close()
            time.sleep(1)  # some listen before they have loaded
            return
        time.sleep(0.1)
    sys.exit(f"a server did not start: {log.read_text(errors='replace')[-2000:]}")


@contextlib.contextmanager
def fastapi(folder: Path) -> Iterator[Endpoint]:
    """The floor: no protocol and no check, only JSON and the model."""
    port = free_port()
    command = [sys.executable, "-c", FASTAPI, folder, port]
    with _running(command, port, folder) as pid:
        body = json.dumps({"records": [ROW]})
        yield Endpoint(f"http://127.0.0.1:{port}", pid, body)


@contextlib.contextmanager
def kserve(folder: Path) -> Iterator[tuple[Endpoint, str]]:
    """KServe's SDK; gives its address of gRPC as well."""
    port, grpc_port = free_port(), free_port()
    command = [python_of("kserve"), "-c", KSERVE, folder, port, grpc_port]
    with _running(command, port, folder) as pid:
        path = "/v2/models/lr/infer"
        endpoint = Endpoint(f"http://127.0.0.1:{port}", pid, tensors(False), path)
        yield endpoint, f"127.0.0.1:{grpc_port}"


@contextlib.contextmanager
def mlserver(folder: Path, batched: bool) -> Iterator[Endpoint]:
    """MLServer, in one process, or with its adaptive batching and a worker."""
    port = free_port()
    place = folder / f"mlserver-{port}"
    place.mkdir()
    settings = {"http_port": port, "grpc_port": free_port(), "metrics_endpoint": None}
    settings |= {"parallel_workers": int(batched), "debug": False}
    model = {
        "name": "lr",
        "implementation": "mlserver_sklearn.SKLearnModel",
        "parameters": {"uri": str(folder / "model.joblib")},
    }
    if batched:
        model |= {"max_batch_size": 32, "max_batch_time": 0.005}
    (place / "settings.json").write_text(json.dumps(settings))
    (place / "model-settings.json").write_text(json.dumps(model))
    command = [python_of("mlserver").with_name("mlserver"), "start", place]
    with _running(command, port, folder) as pid:
        path = "/v2/models/lr/infer"
        yield Endpoint(f"http://127.0.0.1:{port}", pid, tensors(True), path)


@contextlib.contextmanager
def bentoml(folder: Path) -> Iterator[Endpoint]:
    """BentoML's HTTP server."""
    port = free_port()
    (folder / "served.py").write_text(BENTOML)
    command = [python_of("bentoml").with_name("bentoml"), "serve", "served:Served"]
    command += ["--port", port, "--host", "127.0.0.1"]
    home = {"BENTOML_HOME": str(folder), "BENTOML_DO_NOT_TRACK": "True"}
    with _running(command, port, folder, MODEL_FOLDER=str(folder), **home) as pid:
        body = json.dumps({"records": [ROW]})
        yield Endpoint(f"http://127.0.0.1:{port}", pid, body)


@contextlib.contextmanager
def mlflow(folder: Path) -> Iterator[Endpoint]:
    """MLflow's scoring server, of the environment that this runs in."""
    port = free_port()
    subprocess.run([sys.executable, "-c", SAVE, folder], check=True)
    command = [sys.executable, "-m", "mlflow", "models", "serve", "-m", "saved"]
    command += ["--env-manager", "local", "--port", port, "--workers", 1]
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"  # of its uvicorn
    with _running(command, port, folder, PATH=path) as pid:
        body = json.dumps({"dataframe_records": [ROW]})
        yield Endpoint(f"http://127.0.0.1:{port}", pid, body, "/invocations")


PEERS: dict[str, Callable[[Path], contextlib.AbstractContextManager[Endpoint]]] = {
    "FastAPI, no protocol": fastapi,
    "MLServer": lambda folder: mlserver(folder, batched=False),
    "BentoML": bentoml,
    "MLflow": mlflow,
}
