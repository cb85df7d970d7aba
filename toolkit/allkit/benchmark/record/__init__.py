"""Records of benchmarks: reading, summarising, comparing, choosing. Loads no ONNX Runtime."""
