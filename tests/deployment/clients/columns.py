"""What the clients send: one column of every kind that the model takes."""

import numpy as np

COLUMNS = {
    "flag": ("BOOL", np.array([True, False])),
    "small": ("INT32", np.array([-5, 6], np.int32)),
    "count": ("UINT8", np.array([0, 255], np.uint8)),
    "half": ("FP32", np.array([1.5, -2.0], np.float32)),
    "gust": ("FP64", np.array([0.25, np.nan])),
    "carrier": ("BYTES", np.array(["AA", "Zürich"], object)),
    "photo": ("BYTES", np.array([b"\xff\xd8\x00", b"text"], object)),
}
# JSON has no bytes; the schema says that these are in base64.
PHOTO_IN_JSON = np.array(["/9gA", "dGV4dA=="], object)
