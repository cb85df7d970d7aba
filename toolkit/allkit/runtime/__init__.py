"""Inference: an exported model, a source of images, a stream of predictions.

This package needs only NumPy, OpenCV and onnxruntime, so that a small machine can classify without TensorFlow.
"""
