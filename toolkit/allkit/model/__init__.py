"""An exported model as data: file, contract, graph, training images, card. Loads neither ONNX Runtime nor Keras."""
