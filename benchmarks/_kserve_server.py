"""The same model behind KServe's own server, for comparison; in .venv-clients.

    .venv-clients/bin/python benchmarks/_kserve_server.py HTTP_PORT GRPC_PORT MODEL.JOBLIB

It gives labels and probabilities, as ours does.
"""

import sys

import joblib
import pandas as pd
from kserve import InferOutput, InferRequest, InferResponse, Model, ModelServer

http_port, grpc_port, path = sys.argv[1:]
estimator = joblib.load(path)


class Regression(Model):
    def load(self):
        self.ready = True
        return True

    def predict(self, payload: InferRequest, headers=None, response_headers=None):
        frame = pd.DataFrame({each.name: each.as_numpy() for each in payload.inputs})
        outputs = []
        for name, values in (
            ("predict", estimator.predict(frame).astype("int64")),
            ("probabilities", estimator.predict_proba(frame)),
        ):
            datatype = "INT64" if name == "predict" else "FP64"
            output = InferOutput(name, list(values.shape), datatype)
            output.set_data_from_numpy(values, binary_data=True)
            outputs.append(output)
        return InferResponse(payload.id or "", self.name, outputs)


model = Regression("lr")
model.load()
ModelServer(
    http_port=int(http_port),
    grpc_port=int(grpc_port),
    workers=1,
    enable_docs_url=False,
    access_log_format=None,
).start([model])
