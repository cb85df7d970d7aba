"""Inference: an exported model, a source of images, a stream of predictions.

This room needs NumPy, OpenCV and onnxruntime and nothing of the training stack, so that a small
machine can classify without TensorFlow.
"""
