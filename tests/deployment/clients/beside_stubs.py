"""Our messages in one process with stubs that register the package ``inference``.

.venv-clients/bin/python beside_stubs.py PACKAGE/STUBS_PB2.PY GRPC_MESSAGES.PY
"""

import importlib.util
import sys
from pathlib import Path


def load(file):
    """A module without its package, which would import much more."""
    spec = importlib.util.spec_from_file_location(Path(file).stem, file)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


package, _, rest = sys.argv[1].partition("/")
(folder,) = importlib.util.find_spec(package).submodule_search_locations
sys.path.append(str(Path(folder, rest).parent))  # Triton's import another by its name
stubs, ours = load(Path(folder, rest)), load(sys.argv[2])

request = stubs.ModelInferRequest(model_name="m", id="7", raw_input_contents=[b"\xff"])
request.parameters["limit"].int64_param = -3
tensor = request.inputs.add(name="x", datatype="FP64", shape=[2, 1])
tensor.contents.fp64_contents.extend([0.5, 2.0])
tensor.parameters["kind"].string_param = "raw"
request.outputs.add(name="predict")
data = request.SerializeToString()
read = ours.MESSAGES["ModelInferRequest"].FromString(data)
assert str(read) == str(request), read

answer = ours.MESSAGES["ModelInferResponse"](model_name="m", model_version="1.0.0")
answer.outputs.add(name="predict", datatype="BYTES", shape=[1])
answer.outputs[0].parameters["classes"].string_param = "[]"
answer.raw_output_contents.append(b"\0")
read = stubs.ModelInferResponse.FromString(answer.SerializeToString())
assert str(read) == str(answer), read

for name, fields in stubs.DESCRIPTOR.message_types_by_name.items():
    if name in ours.MESSAGES:
        theirs = {each.name: (each.number, each.type) for each in fields.fields}
        mine = ours.MESSAGES[name].DESCRIPTOR.fields
        same = {each.name: (each.number, each.type) for each in mine}
        assert theirs.items() <= same.items(), name
print("they agree")
