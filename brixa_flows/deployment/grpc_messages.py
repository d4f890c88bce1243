"""Messages of the Open Inference Protocol v2 over gRPC, in a descriptor pool of our own.

Triton's and KServe's clients and everybody's protoc stubs register the package
``inference`` in the pool that a process shares, and a second one of them raises
``TypeError``. What is made here is registered nowhere else, so a process may hold it
together with any of them.

Names are flat: what is sent depends on numbers and types of fields alone.
"""

from __future__ import annotations

from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

__all__ = ["HEALTH", "MESSAGES", "METHODS", "SERVICE"]

SERVICE = "inference.GRPCInferenceService"
METHODS = (
    "ServerLive",
    "ServerReady",
    "ServerMetadata",
    "ModelReady",
    "ModelMetadata",
    "ModelInfer",
)
HEALTH = "grpc.health.v1.Health"

# Fields in the order of their numbers, which begin with 1.
_FIELDS = {
    "ServerLiveRequest": "",
    "ServerLiveResponse": "bool live",
    "ServerReadyRequest": "",
    "ServerReadyResponse": "bool ready",
    "ModelReadyRequest": "string name, string version",
    "ModelReadyResponse": "bool ready",
    "ServerMetadataRequest": "",
    "ServerMetadataResponse": "string name, string version, string* extensions",
    "ModelMetadataRequest": "string name, string version",
    "ModelMetadataResponse": "string name, string* versions, string platform, "
    "TensorMetadata* inputs, TensorMetadata* outputs",
    "TensorMetadata": "string name, string datatype, int64* shape",
    "InferParameter": "bool bool_param, int64 int64_param, string string_param, "
    "double double_param, uint64 uint64_param",
    "InferTensorContents": "bool* bool_contents, int32* int_contents, "
    "int64* int64_contents, uint32* uint_contents, uint64* uint64_contents, "
    "float* fp32_contents, double* fp64_contents, bytes* bytes_contents",
    "InferTensor": "string name, string datatype, int64* shape, "
    "InferParameter% parameters, InferTensorContents contents",
    "InferRequestedOutput": "string name, InferParameter% parameters",
    "ModelInferRequest": "string model_name, string model_version, string id, "
    "InferParameter% parameters, InferTensor* inputs, InferRequestedOutput* outputs, "
    "bytes* raw_input_contents",
    "ModelInferResponse": "string model_name, string model_version, string id, "
    "InferParameter% parameters, InferTensor* outputs, bytes* raw_output_contents",
    # grpc.health.v1; the status is an enum, which is sent as an int32.
    "HealthCheckRequest": "string service",
    "HealthCheckResponse": "int32 status",
    # google.rpc.Status with a RetryInfo, as google.protobuf.Any and Duration.
    "Status": "int32 code, string message, Any* details",
    "Any": "string type_url, bytes value",
    "RetryInfo": "Duration retry_delay",
    "Duration": "int64 seconds, int32 nanos",
}
_ONE_OF = "InferParameter"
_PACKAGE = "inference"

_Field = descriptor_pb2.FieldDescriptorProto


def _add_field(
    message: Any, number: int, name: str, kind: str, *, repeated: bool
) -> None:
    field = message.field.add(name=name, number=number)
    field.label = _Field.LABEL_REPEATED if repeated else _Field.LABEL_OPTIONAL
    if kind[0].isupper():
        field.type, field.type_name = _Field.TYPE_MESSAGE, f".{_PACKAGE}.{kind}"
    else:
        field.type = _Field.Type.Value(f"TYPE_{kind.upper()}")


def _add_map(message: Any, number: int, name: str, kind: str) -> None:
    """A map from texts is a repeated message with a key and a value."""
    entry = message.nested_type.add(name=f"{name.title()}Entry")
    entry.options.map_entry = True
    _add_field(entry, 1, "key", "string", repeated=False)
    _add_field(entry, 2, "value", kind, repeated=False)
    _add_field(message, number, name, f"{message.name}.{entry.name}", repeated=True)


def _describe() -> Any:
    file = descriptor_pb2.FileDescriptorProto(
        name="brixa_flows/open_inference.proto", package=_PACKAGE, syntax="proto3"
    )
    for message_name, fields in _FIELDS.items():
        message = file.message_type.add(name=message_name)
        if message_name == _ONE_OF:
            message.oneof_decl.add(name="parameter_choice")
        for number, field in enumerate(filter(None, fields.split(", ")), start=1):
            kind, _, name = field.partition(" ")
            if kind.endswith("%"):
                _add_map(message, number, name, kind[:-1])
            else:
                repeated = kind.endswith("*")
                _add_field(message, number, name, kind.rstrip("*"), repeated=repeated)
            if message_name == _ONE_OF:
                message.field[-1].oneof_index = 0
    return file


def _make() -> dict[str, Any]:
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(_describe().SerializeToString())
    return {
        name: message_factory.GetMessageClass(
            pool.FindMessageTypeByName(f"{_PACKAGE}.{name}")
        )
        for name in _FIELDS
    }


MESSAGES = _make()
