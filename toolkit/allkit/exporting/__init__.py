"""From a finished run to a verified ONNX file that carries its contract."""
