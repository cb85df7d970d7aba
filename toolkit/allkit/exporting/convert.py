"""A Keras network as an ONNX model with a named, dynamic batch."""

from __future__ import annotations

import keras
import onnx
import tensorflow as tf
import tf2onnx

from allkit.exporting.tidy import tidy
from allkit.model.contract import INPUT_NAME

OPSET = 18


def to_onnx(model: keras.Model) -> onnx.ModelProto:
    """Convert a network with input uint8 (batch, S, S, 3) and outputs in a dictionary by name.

    The result is tidy (`tidy`), checked by onnx, and its outputs keep their names.
    """
    signature = (tf.TensorSpec(model.inputs[0].shape, tf.uint8, name=INPUT_NAME),)
    proto, _ = tf2onnx.convert.from_keras(model, input_signature=signature, opset=OPSET)
    for value in (*proto.graph.input, *proto.graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = "batch"
    tidy(proto, {layer.name for layer in model.layers})
    return proto
