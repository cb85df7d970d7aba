"""The Python backend of Triton for encoded images; `exporting/triton.py` copies this file into a model repository.

It needs allkit in the Python of the server: `pip install allkit`.
"""

import json

import numpy as np
import triton_python_backend_utils as backend

from allkit.errors import AllkitError
from allkit.imaging.pixel_path import PixelPath


class TritonPythonModel:
    """Files, bytes objects (n, 1), to what the model that is named in the configuration says of their pixels."""

    def initialize(self, args):
        parameters = json.loads(args["model_config"])["parameters"]
        self._model = parameters["model"]["string_value"]
        self._pixels = PixelPath(**json.loads(parameters["pixels"]["string_value"]))

    def execute(self, requests):
        return [self._answer(request) for request in requests]

    def _answer(self, request):
        files = backend.get_input_tensor_by_name(request, "file").as_numpy().ravel()
        try:
            pixels = np.stack([self._pixels.load(bytes(file)) for file in files])
        except AllkitError as error:
            return backend.InferenceResponse(error=backend.TritonError(str(error)))
        asked = backend.InferenceRequest(
            model_name=self._model,
            requested_output_names=list(request.requested_output_names()),
            inputs=[backend.Tensor("image", pixels)],
        )
        answer = asked.exec()
        if answer.has_error():
            return backend.InferenceResponse(error=answer.error())
        return backend.InferenceResponse(output_tensors=answer.output_tensors())
