"""Makes this folder's fixtures: small nets saved by MXNet, and what MXNet itself answers. Not run by the tests.

    python3 -m venv /tmp/mx && /tmp/mx/bin/pip install mxnet==1.9.1 numpy==1.23.5
    /tmp/mx/bin/python tests/models/mxnet/make.py             # the fixtures
    /tmp/mx/bin/python tests/models/mxnet/make.py zoo FOLDER  # the nets of the model zoo: large

A fixture NAME is NAME-symbol.json, NAME-0000.params and NAME.npz: inputs by their names, and answers out0, out1, ...
"""

import sys
from pathlib import Path

import mxnet as mx
import numpy as np
from mxnet import gluon, sym
from mxnet.gluon import nn, rnn

HERE = Path(__file__).parent
ZOO = (
    "alexnet densenet121 densenet161 densenet169 densenet201 inception_v3 mobilenet0_25 mobilenet0_5 mobilenet0_75 "
    "mobilenet1_0 mobilenet_v2_0_25 mobilenet_v2_0_5 mobilenet_v2_0_75 mobilenet_v2_1_0 resnet18_v1 resnet34_v1 "
    "resnet50_v1 resnet101_v1 resnet152_v1 resnet18_v2 resnet34_v2 resnet50_v2 resnet101_v2 resnet152_v2 squeezenet1_0 "
    "squeezenet1_1 vgg11 vgg13 vgg16 vgg19 vgg11_bn vgg13_bn vgg16_bn vgg19_bn"
).split()


def keep(folder, name, symbol, params, inputs):
    """Bind, answer, save."""
    given = {argument: mx.nd.array(value) for argument, value in inputs.items()}
    shapes, _, _ = symbol.infer_shape(
        **{n: v.shape for n, v in {**params, **given}.items() if n in symbol.list_arguments()}
    )
    labels = {n: mx.nd.zeros(s) for n, s in zip(symbol.list_arguments(), shapes) if n not in {**params, **given}}
    executor = symbol.bind(
        mx.cpu(), {**params, **given, **labels}, aux_states={n: params[n] for n in symbol.list_auxiliary_states()}
    )
    outputs = executor.forward(is_train=False)
    symbol.save(str(folder / f"{name}-symbol.json"))
    auxiliary = set(symbol.list_auxiliary_states())
    mx.nd.save(
        str(folder / f"{name}-0000.params"), {("aux:" if n in auxiliary else "arg:") + n: a for n, a in params.items()}
    )
    np.savez_compressed(folder / f"{name}.npz", **inputs, **{f"out{i}": o.asnumpy() for i, o in enumerate(outputs)})
    print(name, [o.shape for o in outputs])


def plain(folder, name, symbol, **inputs):
    """A symbol of the Module API, its parameters by chance."""
    shapes, _, aux = symbol.infer_shape_partial(**{k: v.shape for k, v in inputs.items()})
    params = {}
    for known, names in ((shapes, symbol.list_arguments()), (aux, symbol.list_auxiliary_states())):
        for argument, shape in zip(names, known):
            if argument not in inputs and not argument.endswith("_label"):
                params[argument] = mx.nd.array(
                    np.random.uniform(0.5, 1.5, shape) if "var" in argument else np.random.normal(0, 0.5, shape)
                )
    keep(folder, name, symbol, params, inputs)


def block(folder, name, net, *shape):
    """A net of Gluon's, its parameters by chance, its running means too."""
    net.initialize(mx.init.Xavier())
    net.hybridize()
    data = np.random.normal(0, 1, shape).astype("float32")
    net(mx.nd.array(data))
    for parameter in net.collect_params().values():
        if "running_var" in parameter.name:
            parameter.set_data(mx.nd.array(np.random.uniform(0.5, 1.5, parameter.shape)))
        elif "running_mean" in parameter.name or "bias" in parameter.name or "beta" in parameter.name:
            parameter.set_data(mx.nd.array(np.random.normal(0, 0.3, parameter.shape)))
    net.export(str(folder / name))
    answer = net(mx.nd.array(data))
    answers = answer if isinstance(answer, (list, tuple)) else [answer]
    np.savez_compressed(folder / f"{name}.npz", data=data, **{f"out{i}": o.asnumpy() for i, o in enumerate(answers)})
    print(name, [o.shape for o in answers])


def chance(*shape):
    return np.random.normal(0, 1, shape).astype("float32")


def sequential(*layers):
    net = nn.HybridSequential()
    net.add(*layers)
    return net


class Cells(gluon.HybridBlock):
    """Cells unrolled in time."""

    def __init__(self):
        super().__init__()
        with self.name_scope():
            self.first, self.second, self.third = rnn.GRUCell(5), rnn.LSTMCell(4), rnn.RNNCell(3)

    def hybrid_forward(self, F, x):
        for cell in (self.first, self.second, self.third):
            x, _ = cell.unroll(4, x, layout="NTC", merge_outputs=True)
        return x


class Words(gluon.HybridBlock):
    """Numbers of words to a class: the classic net for sentences."""

    def __init__(self):
        super().__init__()
        with self.name_scope():
            self.table, self.lstm = nn.Embedding(11, 6), rnn.LSTM(5, num_layers=2, bidirectional=True, layout="NTC")
            self.norm, self.out = nn.LayerNorm(), nn.Dense(3, flatten=False)

    def hybrid_forward(self, F, x):
        return F.softmax(self.out(self.norm(self.lstm(self.table(x)))), axis=-1)


class Shapes(gluon.HybridBlock):
    """What moves elements about."""

    def hybrid_forward(self, F, x):  # (2, 6, 4, 5)
        a = F.reshape(x, shape=(0, -4, 2, 3, -2))
        b = F.reshape(F.transpose(a, axes=(0, 2, 1, 3, 4)), shape=(0, -3, -2))
        c = F.slice_axis(b, axis=1, begin=1, end=None)
        d = F.slice(b, begin=(None, 0, None), end=(None, 5, None), step=(None, 1, -1))
        e = F.concat(c, d, dim=1)
        f = F.squeeze(F.expand_dims(F.swapaxes(e, 1, 3), axis=2), axis=2)
        g = F.pad(f, mode="edge", pad_width=(0, 0, 0, 0, 1, 2, 2, 1))
        h = F.tile(g, reps=(2, 1))
        i = F.stack(*F.split(h, num_outputs=5, axis=1, squeeze_axis=True), axis=2)
        return F.SequenceReverse(i), F.SequenceLast(i), F.take(i, F.argmax(F.mean(x, axis=(1, 2)), axis=1), axis=3)


class Numbers(gluon.HybridBlock):
    """What reckons element by element, and reduces."""

    def hybrid_forward(self, F, x):  # (2, 3, 4)
        a = F.sqrt(F.abs(x)) + F.square(x) * 0.5 - 1 / (F.exp(x) + 2)
        b = F.broadcast_div(F.broadcast_maximum(a, F.sigmoid(x)), F.sum(F.abs(a), axis=1, keepdims=True) + 1)
        c = F.clip(F.where(x > 0, b, F.negative(F.softsign(x))), -0.75, 0.75) ** 2
        d = F.add_n(c, F.zeros_like(c), F.ones_like(c), F.rsqrt(c + 1), F.erf(x), F.hard_sigmoid(x), 2**x)
        d = d + F.broadcast_greater(x, c) + F.cast(F.cast(x, "int32"), "float32")
        e = F.batch_dot(d, d, transpose_b=True)
        return (
            e,
            F.max(d, axis=0, exclude=True),
            F.mean(d),
            F.norm(d, axis=2),
            F.dot(F.flatten(d), F.flatten(c), transpose_b=True),
        )


def convolutions(F=sym):
    data = F.Variable("data")
    a = F.Convolution(data, kernel=(3, 3), num_filter=8, pad=(1, 1), dilate=(1, 1), name="a")
    a = F.Activation(F.BatchNorm(a, name="bn"), act_type="relu")  # fix_gamma, eps 1e-3: as where nothing is said
    a = F.LRN(F.Pooling(a, kernel=(3, 3), stride=(2, 2), pool_type="max", pooling_convention="full"), nsize=3)
    b = F.Convolution(a, kernel=(3, 3), num_filter=8, num_group=4, stride=(2, 2), no_bias=True, name="b")
    b = F.LeakyReLU(b, act_type="prelu", name="prelu")
    c = F.Deconvolution(b, kernel=(4, 4), num_filter=4, stride=(2, 2), pad=(1, 1), adj=(1, 1), name="c")
    c = F.InstanceNorm(F.LeakyReLU(c, act_type="elu", slope=0.7), name="inorm")
    d = F.UpSampling(F.L2Normalization(c, mode="channel"), scale=2, sample_type="nearest")
    e = F.Pooling(d, kernel=(3, 3), stride=(2, 2), pad=(1, 1), pool_type="avg", pooling_convention="full")
    f = F.Pooling(e, kernel=(2, 2), stride=(2, 2), pad=(1, 1), pool_type="avg", count_include_pad=False)
    g = F.Pooling(f, kernel=(1, 1), global_pool=True, pool_type="avg")
    h = F.FullyConnected(F.Dropout(g, p=0.5), num_hidden=6, name="fc")
    return F.SoftmaxOutput(
        F.concat(h, F.LeakyReLU(h, act_type="gelu"), F.LeakyReLU(h, act_type="selu"), dim=1), name="softmax"
    )


def fixtures(folder):
    plain(folder, "convolutions", convolutions(), data=chance(2, 3, 20, 21))
    pixels = sym.SoftmaxOutput(
        sym.Convolution(sym.Variable("data"), kernel=(1, 1), num_filter=4, name="c"), multi_output=True, name="softmax"
    )
    plain(folder, "pixels", pixels, data=chance(2, 3, 5, 6))
    data = sym.Variable("data")
    heads = sym.Group(
        [
            sym.LogisticRegressionOutput(sym.FullyConnected(data, num_hidden=3, name="a"), name="one"),
            sym.LinearRegressionOutput(sym.FullyConnected(data, num_hidden=2, name="b", no_bias=True), name="two"),
            sym.SoftmaxActivation(data),
            sym.SoftmaxOutput(data, name="whole"),
            sym.L2Normalization(data),
            sym.log_softmax(data, axis=1, temperature=2.0),
        ]
    )
    plain(folder, "heads", heads, data=chance(3, 2, 4))
    signal = sequential(
        nn.Conv1D(6, 5, padding=2),
        nn.BatchNorm(),
        nn.Activation("tanh"),
        nn.MaxPool1D(2),
        nn.Conv1D(4, 3, groups=2),
        nn.Swish(),
        nn.GlobalAvgPool1D(),
        nn.Flatten(),
        nn.Dense(2),
    )
    block(folder, "signal", signal, 3, 1, 40)
    block(folder, "volume", sequential(nn.Conv3D(3, 2, strides=(1, 2, 1)), nn.AvgPool3D(2), nn.Dense(2)), 2, 1, 5, 6, 7)
    for mode in ("lstm", "gru", "rnn_tanh", "rnn_relu"):
        kind = {"lstm": rnn.LSTM, "gru": rnn.GRU}.get(mode, rnn.RNN)
        told = {"activation": mode[4:]} if kind is rnn.RNN else {}
        layer = kind(4, num_layers=2, bidirectional=mode in ("gru", "rnn_relu"), **told)
        block(folder, mode, sequential(layer), 6, 2, 3)
    fused = sym.RNN(
        sym.Variable("data"),
        sym.Variable("weights"),
        sym.Variable("h0"),
        sym.Variable("c0"),
        state_size=4,
        num_layers=2,
        mode="lstm",
        state_outputs=True,
        name="rnn",
    )
    inputs = {"data": chance(5, 2, 3), "h0": chance(2, 2, 4), "c0": chance(2, 2, 4)}
    size = sum(16 * (width + 4) + 32 for width in (3, 4))
    keep(folder, "states", fused, {"weights": mx.nd.array(chance(size))}, inputs)
    block(folder, "cells", Cells(), 2, 4, 3)
    words = Words()
    np.random.seed(5)
    block(folder, "words", words, 2, 7)
    block(folder, "shapes", Shapes(), 2, 6, 4, 5)
    block(folder, "numbers", Numbers(), 2, 3, 4)
    block(
        folder,
        "residual",
        gluon.model_zoo.vision.ResNetV1(
            gluon.model_zoo.vision.BasicBlockV1, [1, 1], [4, 4, 8], classes=5, thumbnail=True
        ),
        2,
        3,
        16,
        16,
    )
    block(folder, "squeeze", sequential(*gluon.model_zoo.vision.squeezenet1_1(classes=3).features[:5]), 1, 3, 40, 40)
    # As MXNet saved before 0.9: the words of the file itself are older.
    old = (HERE / "pixels-symbol.json").read_text().replace('"attrs": {"kernel', '"param": {"kernel')
    (folder / "pixels-old.json").write_text(old)


def zoo(folder):
    for name in ZOO:
        np.random.seed(3)
        side = 299 if name == "inception_v3" else 224
        block(folder, name, getattr(gluon.model_zoo.vision, name)(), 1, 3, side, side)


if __name__ == "__main__":
    mx.random.seed(3)
    np.random.seed(3)
    if sys.argv[1:2] == ["zoo"]:
        zoo(Path(sys.argv[2]))
    else:
        fixtures(HERE)
