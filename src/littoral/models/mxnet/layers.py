"""Layers of nets: convolution, pooling, normalisation, what is connected in full, activations."""

from __future__ import annotations

from typing import Any

import numpy as np

from littoral.models.mxnet.writing import Writing, operator

ACTIVATIONS = {"relu": "Relu", "sigmoid": "Sigmoid", "tanh": "Tanh", "softrelu": "Softplus", "softsign": "Softsign"}


def _window(w: Writing) -> dict[str, Any]:
    """Kernel, strides and pads of a window, whose axes the kernel counts."""
    kernel = w.told.shape("kernel")
    ones, none = (1,) * len(kernel), (0,) * len(kernel)
    if w.told.text("layout", "None") not in ("None", "NCW", "NCHW", "NCDHW"):
        raise w.refused(f"the layout {w.told.text('layout')} is not imported, only those with channels first")
    return {
        "kernel_shape": list(kernel),
        "strides": list(w.told.shape("stride", ones)),
        "pads": list(w.told.shape("pad", none) * 2),
    }


@operator("Convolution", "Convolution_v1")
def convolution(w: Writing) -> list[str]:
    window = _window(w)
    dilate = w.told.shape("dilate", (1,) * len(window["kernel_shape"]))
    return w.node("Conv", *w.inputs, dilations=list(dilate), group=w.told.integer("num_group", 1), **window)


@operator("Deconvolution")
def deconvolution(w: Writing) -> list[str]:
    if any(w.told.shape("target_shape")):
        raise w.refused("target_shape is not imported")
    window = _window(w)
    axes = len(window["kernel_shape"])
    return w.node(
        "ConvTranspose",
        *w.inputs,
        dilations=list(w.told.shape("dilate", (1,) * axes)),
        output_padding=list(w.told.shape("adj", (0,) * axes)),
        group=w.told.integer("num_group", 1),
        **window,
    )


@operator("FullyConnected")
def fully_connected(w: Writing) -> list[str]:
    data, weight, *bias = w.inputs
    if w.told.flag("flatten", default=True):
        return w.node("Gemm", w.one("Flatten", data, axis=1), weight, *bias, transB=1)
    product = w.one("MatMul", data, w.one("Transpose", weight, perm=[1, 0]))
    return w.node("Add", product, *bias) if bias else [product]


@operator("BatchNorm", "BatchNorm_v1", "CuDNNBatchNorm")
def batch_norm(w: Writing) -> list[str]:
    """With the means and variances that training kept, as MXNet predicts."""
    w.refuse("axis", unless="1")
    data, gamma, *others = w.inputs
    if w.told.flag("fix_gamma", default=True):
        gamma = w.constant(np.ones_like(w.known(1, "gamma")))
    return w.node("BatchNormalization", data, gamma, *others, epsilon=w.told.real("eps", 1e-3))


@operator("LayerNorm")
def layer_norm(w: Writing) -> list[str]:
    w.refuse("axis", unless="-1")
    return w.node("LayerNormalization", *w.inputs, axis=-1, epsilon=w.told.real("eps", 1e-5))


@operator("InstanceNorm")
def instance_norm(w: Writing) -> list[str]:
    return w.node("InstanceNormalization", *w.inputs, epsilon=w.told.real("eps", 1e-3))


@operator("LRN")
def local_response_norm(w: Writing) -> list[str]:
    told = w.told
    return w.node(
        "LRN",
        *w.inputs,
        alpha=told.real("alpha", 1e-4),
        beta=told.real("beta", 0.75),
        bias=told.real("knorm", 2),
        size=told.integer("nsize"),
    )


@operator("L2Normalization")
def l2_normalization(w: Writing) -> list[str]:
    data = w.inputs[0]
    mode, rank = w.told.text("mode", "instance"), w.rank(data)
    axes = {"instance": range(1, rank), "channel": (1,), "spatial": range(2, rank)}.get(mode)
    if not axes:
        raise w.refused(f"mode={mode} is not imported")
    squares = w.one("ReduceSumSquare", data, axes=list(axes), keepdims=1)
    return w.node("Div", data, w.one("Sqrt", w.one("Add", squares, w.scalar(w.told.real("eps", 1e-10)))))


@operator("Pooling")
def pooling(w: Writing) -> list[str]:
    kind, data = w.told.text("pool_type", "max"), w.inputs[0]
    if kind not in ("max", "avg"):
        raise w.refused(f"pool_type={kind} is not imported")
    if w.told.flag("global_pool"):
        return w.node("GlobalMaxPool" if kind == "max" else "GlobalAveragePool", data)
    convention = w.told.text("pooling_convention", "valid")
    if convention not in ("valid", "full"):
        raise w.refused(f"pooling_convention={convention} is not imported")
    window = _window(w) | {"ceil_mode": int(convention == "full")}
    if kind == "max":
        return w.node("MaxPool", data, **window)
    return w.node("AveragePool", data, count_include_pad=int(w.told.flag("count_include_pad", default=True)), **window)


@operator("Dropout")
def dropout(w: Writing) -> list[str]:
    w.refuse("mode", unless="training")
    return [w.inputs[0]]


@operator("Embedding")
def embedding(w: Writing) -> list[str]:
    """A number outside the table takes the nearest row, as in MXNet."""
    data, weight = w.inputs
    last = w.told.integer("input_dim") - 1
    numbers = w.one("Clip", w.one("Cast", data, to=7), w.constant(np.array(0)), w.constant(np.array(last)))
    return w.node("Gather", weight, numbers)


@operator("UpSampling")
def up_sampling(w: Writing) -> list[str]:
    w.refuse("sample_type", unless="nearest")
    scale = w.told.integer("scale")
    scales = w.constant(np.array([1, 1, scale, scale], np.float32))
    return w.node(
        "Resize",
        w.inputs[0],
        "",
        scales,
        mode="nearest",
        coordinate_transformation_mode="asymmetric",
        nearest_mode="floor",
    )


@operator("Activation")
def activation(w: Writing) -> list[str]:
    kind = w.told.text("act_type")
    if kind not in ACTIVATIONS:
        raise w.refused(f"act_type={kind} is not imported")
    return w.node(ACTIVATIONS[kind], w.inputs[0])


@operator("LeakyReLU")
def leaky_relu(w: Writing) -> list[str]:
    kind, data, slope = w.told.text("act_type", "leaky"), w.inputs[0], w.told.real("slope", 0.25)
    if kind == "leaky":
        return w.node("LeakyRelu", data, alpha=slope)
    if kind == "rrelu":  # whoever predicts takes the middle of the range
        return w.node(
            "LeakyRelu", data, alpha=(w.told.real("lower_bound", 0.125) + w.told.real("upper_bound", 0.334)) / 2
        )
    if kind == "elu":
        return w.node("Elu", data, alpha=slope)
    if kind == "selu":
        return w.node("Selu", data)
    if kind == "gelu":
        half = w.one("Mul", data, w.scalar(0.5))
        return w.node("Mul", half, w.one("Add", w.one("Erf", w.one("Mul", data, w.scalar(0.5**0.5))), w.scalar(1)))
    if kind != "prelu":
        raise w.refused(f"act_type={kind} is not imported")
    gamma = w.known(1, "gamma")  # one for each channel, or one for all
    return w.node("PRelu", data, w.constant(gamma.reshape(-1, *(1,) * max(0, w.rank(data) - 2))))


@operator("softmax", "log_softmax", "softmin")
def softmax(w: Writing) -> list[str]:
    w.refuse("use_length", unless="False")
    data = w.inputs[0]
    if not w.told.is_open("temperature"):
        data = w.one("Div", data, w.scalar(w.told.real("temperature")))
    if w.op == "softmin":
        data = w.one("Neg", data)
    return w.node("LogSoftmax" if w.op == "log_softmax" else "Softmax", data, axis=w.told.integer("axis", -1))


@operator("SoftmaxOutput", "Softmax", "SoftmaxActivation")
def softmax_output(w: Writing) -> list[str]:
    """Over the channels, the last axis, or (an output to which nothing is said) all of what belongs to one sample."""
    data = w.inputs[0]
    if w.told.flag("multi_output") or w.told.text("mode") == "channel":
        return w.node("Softmax", data, axis=1)
    if w.op == "SoftmaxActivation" or w.told.flag("preserve_shape") or w.rank(data) == 2:
        return w.node("Softmax", data, axis=-1)
    return w.node("Reshape", w.one("Softmax", w.one("Flatten", data, axis=1), axis=1), w.one("Shape", data))


@operator("LogisticRegressionOutput")
def logistic_output(w: Writing) -> list[str]:
    return w.node("Sigmoid", w.inputs[0])


@operator("LinearRegressionOutput", "MAERegressionOutput", "MakeLoss", "make_loss", "BlockGrad", "stop_gradient")
def as_it_is(w: Writing) -> list[str]:
    return [w.inputs[0]]
