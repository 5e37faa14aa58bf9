"""Makes this folder's fixtures: small nets saved by MXNet, and what MXNet itself answers. Not run by the tests.

    python3 -m venv /tmp/mx && /tmp/mx/bin/pip install mxnet==1.9.1 numpy==1.23.5
    /tmp/mx/bin/python tests/models/mxnet/make.py             # the fixtures
    /tmp/mx/bin/python tests/models/mxnet/make.py classics    # those of the examples of its time
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
    asked = {n: value for n, value in inputs.items() if not n.endswith("_label")}
    np.savez_compressed(folder / f"{name}.npz", **asked, **{f"out{i}": o.asnumpy() for i, o in enumerate(outputs)})
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


def language():
    """The language model of MXNet's own examples: two LSTM layers, unrolled."""
    stack = mx.rnn.SequentialRNNCell()
    for layer in range(2):
        stack.add(mx.rnn.LSTMCell(num_hidden=6, prefix=f"lstm{layer}_"))
        stack.add(mx.rnn.DropoutCell(0.2, prefix=f"drop{layer}_"))
    words = sym.Embedding(sym.Variable("data"), input_dim=13, output_dim=5, name="embed")
    outputs, _ = stack.unroll(4, inputs=words, merge_outputs=True)
    flat = sym.Reshape(outputs, shape=(-1, 6))
    labels = sym.Reshape(sym.Variable("softmax_label"), shape=(-1,))
    return sym.SoftmaxOutput(sym.FullyConnected(flat, num_hidden=13, name="pred"), labels, name="softmax")


def both_ways():
    """What sorts numbers, in the examples: LSTMs from both ends, a class for each place."""
    cell = mx.rnn.BidirectionalCell(
        mx.rnn.LSTMCell(num_hidden=4, prefix="l_"), mx.rnn.GRUCell(num_hidden=4, prefix="r_")
    )
    words = sym.Embedding(sym.Variable("data"), input_dim=9, output_dim=5, name="embed")
    outputs, _ = cell.unroll(5, inputs=words, merge_outputs=True)
    return sym.SoftmaxActivation(sym.FullyConnected(sym.Reshape(outputs, shape=(-1, 8)), num_hidden=9, name="cls"))


def sentence():
    """Kim's net for sentences: windows of several widths over embedded words."""
    words = sym.Embedding(sym.Variable("data"), input_dim=17, output_dim=6, name="embed")
    image = sym.Reshape(words, target_shape=(0, 1, 9, 6))
    pooled = []
    for width in (2, 3, 4):
        window = sym.Convolution(image, kernel=(width, 6), num_filter=4, name=f"conv{width}")
        pooled.append(sym.Pooling(sym.Activation(window, act_type="relu"), pool_type="max", kernel=(9 - width + 1, 1)))
    together = sym.Reshape(sym.Concat(*pooled, dim=1), shape=(-1, 12))
    return sym.SoftmaxOutput(sym.FullyConnected(sym.Dropout(together), num_hidden=2, name="cls"), name="softmax")


def factors():
    """Recommending by factors: users and things, and how they go together."""
    user = sym.Embedding(sym.Variable("user"), input_dim=7, output_dim=4, name="users")
    item = sym.Embedding(sym.Variable("item"), input_dim=8, output_dim=4, name="items")
    item = sym.FullyConnected(sym.Activation(item, act_type="relu"), num_hidden=4, name="fc")
    score = sym.Flatten(sym.sum_axis(user * item, axis=1))
    return sym.LinearRegressionOutput(score, sym.Variable("score"), name="lro")


def segments():
    """A fully convolutional net: coarse and fine scores, added, brought up, cut to what went in."""
    data = sym.Variable("data")
    fine = sym.Activation(sym.Convolution(data, kernel=(3, 3), pad=(2, 2), num_filter=4, name="c1"), act_type="relu")
    half = sym.Pooling(fine, pool_type="max", kernel=(2, 2), stride=(2, 2), name="p1")
    coarse = sym.Convolution(half, kernel=(3, 3), pad=(1, 1), stride=(2, 2), num_filter=3, name="score2")
    up = sym.Deconvolution(coarse, kernel=(4, 4), stride=(2, 2), num_filter=3, no_bias=True, name="up2")
    side = sym.Convolution(half, kernel=(1, 1), num_filter=3, name="score1")
    both = sym.Crop(up, side, offset=(1, 0)) + sym.Crop(up, side, center_crop=True) + side
    whole = sym.Deconvolution(both, kernel=(4, 4), stride=(2, 2), num_filter=3, no_bias=True, name="up1")
    whole = sym.Crop(whole, h_w=(12, 11), offset=(2, 1), num_args=1)
    return sym.SoftmaxOutput(whole, multi_output=True, use_ignore=True, ignore_label=255, name="softmax")


def inception():
    """A part of Inception-BN, as the symbols of its time wrote it."""

    def unit(data, filters, name, **told):
        told = {"kernel": (1, 1), **told}
        conv = sym.Convolution(data, num_filter=filters, name=f"conv_{name}", **told)
        return sym.Activation(
            sym.BatchNorm(conv, fix_gamma=False, eps=1e-3, momentum=0.9, name=f"bn_{name}"), act_type="relu"
        )

    data = unit(sym.Variable("data"), 6, "1", kernel=(7, 7), stride=(2, 2), pad=(3, 3))
    data = sym.Pooling(data, kernel=(3, 3), stride=(2, 2), pool_type="max")
    wide = unit(unit(data, 4, "3r"), 6, "3", kernel=(3, 3), pad=(1, 1))
    wider = unit(unit(unit(data, 4, "d3r"), 5, "d3a", kernel=(3, 3), pad=(1, 1)), 5, "d3b", kernel=(3, 3), pad=(1, 1))
    pooled = unit(sym.Pooling(data, kernel=(3, 3), stride=(1, 1), pad=(1, 1), pool_type="avg"), 3, "proj")
    data = sym.Concat(unit(data, 4, "1x1"), wide, wider, pooled, name="chconcat")
    data = sym.Pooling(data, kernel=(5, 5), stride=(1, 1), pool_type="avg", global_pool=True)
    return sym.SoftmaxOutput(sym.FullyConnected(sym.Flatten(data), num_hidden=5, name="fc1"), name="softmax")


def classics(folder):
    """Nets of the examples of MXNet's time, as those wrote them."""
    words = lambda most, *shape: np.random.randint(0, most, shape).astype("float32")  # noqa: E731
    plain(folder, "language", language(), data=words(13, 2, 4), softmax_label=words(13, 2, 4))
    plain(folder, "both_ways", both_ways(), data=words(9, 2, 5))
    plain(folder, "sentence", sentence(), data=words(17, 2, 9))
    plain(folder, "factors", factors(), user=words(7, 3), item=words(8, 3))
    plain(folder, "segments", segments(), data=chance(1, 3, 12, 11))
    plain(folder, "inception", inception(), data=chance(1, 3, 40, 40))


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
    elif sys.argv[1:2] == ["classics"]:
        classics(HERE)
    else:
        fixtures(HERE)
