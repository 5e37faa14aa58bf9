"""Operators that move elements and change none."""

from __future__ import annotations

from typing import Any

from littoral.models.mxnet.writing import Writing, operator

LARGE = 2**62  # as far as there is


@operator("Flatten", "flatten")
def flatten(w: Writing) -> list[str]:
    return w.node("Flatten", w.inputs[0], axis=1)


@operator("Reshape", "reshape")
def reshape(w: Writing) -> list[str]:
    w.refuse("reverse", unless="False")
    w.refuse("keep_highest", unless="False")
    older = tuple(length or -1 for length in w.told.shape("target_shape"))  # the way of before 0.7: 0 is what is left
    data, target = w.inputs[0], w.told.shape("shape", older)
    if not target:
        raise w.refused("it has no shape")
    if data in w.sheet.known and min(target) >= -1 and 0 not in target:  # weights on their way into a recurrent layer
        return [w.constant(w.sheet.known[data].reshape(target))]
    if min(target) >= -1:
        return w.node("Reshape", data, w.integers(*target))
    return w.node("Reshape", data, w.one("Concat", *_lengths(w, data, list(target)), axis=0))


def _lengths(w: Writing, data: str, target: list[int]) -> list[str]:
    """The lengths of the new axes, each a list, by the codes that MXNet has beside 0 (as it was) and -1 (what is left):
    -2 all that follow, -3 two as one, -4 one as the two that are named next."""
    shape = w.one("Shape", data)
    found, axis = [], 0
    while target:
        code = target.pop(0)
        if code > 0 or code == -1:
            found.append(w.integers(code))
        elif code == -3:
            found.append(w.one("ReduceProd", _part(w, shape, axis, axis + 2), keepdims=1))
            axis += 1
        elif code == -4:
            found.append(w.integers(target.pop(0), target.pop(0)))
        else:
            found.append(_part(w, shape, axis, LARGE if code == -2 else axis + 1))
        axis += 1
    return found


def _part(w: Writing, data: str, begin: int, end: int, axis: int = 0, step: int = 1) -> str:
    return w.one("Slice", data, w.integers(begin), w.integers(end), w.integers(axis), w.integers(step))


@operator("transpose")
def transpose(w: Writing) -> list[str]:
    told: dict[str, Any] = {"perm": list(axes)} if (axes := w.told.shape("axes")) else {}
    return w.node("Transpose", w.inputs[0], **told)


@operator("SwapAxis", "swapaxes")
def swap_axes(w: Writing) -> list[str]:
    axes = list(range(w.rank(w.inputs[0])))
    one, other = w.told.integer("dim1", 0), w.told.integer("dim2", 0)
    axes[one], axes[other] = axes[other], axes[one]
    return w.node("Transpose", w.inputs[0], perm=axes)


@operator("expand_dims")
def expand_dims(w: Writing) -> list[str]:
    return w.node("Unsqueeze", w.inputs[0], w.integers(w.told.integer("axis")))


@operator("squeeze")
def squeeze(w: Writing) -> list[str]:
    axes = w.told.shape("axis")
    return w.node("Squeeze", w.inputs[0], *([w.integers(*axes)] if axes else []))


@operator("Concat", "concat")
def concat(w: Writing) -> list[str]:
    return w.node("Concat", *w.inputs, axis=w.told.integer("dim", 1))


@operator("stack")
def stack(w: Writing) -> list[str]:
    axis = w.told.integer("axis", 0)
    return w.node("Concat", *(w.one("Unsqueeze", each, w.integers(axis)) for each in w.inputs), axis=axis)


@operator("SliceChannel", "split")
def split(w: Writing) -> list[str]:
    count, axis = w.told.integer("num_outputs"), w.told.integer("axis", 1)
    parts = w.node("Split", w.inputs[0], outputs=count, axis=axis)
    if not w.told.flag("squeeze_axis"):
        return parts
    return [w.one("Squeeze", part, w.integers(axis)) for part in parts]


@operator("slice", "crop")
def slice_(w: Writing) -> list[str]:
    steps = [step or 1 for step in w.told.places("step")]
    begins, ends = w.told.places("begin"), w.told.places("end")
    steps += [1] * (len(begins) - len(steps))
    first = [(0 if step > 0 else LARGE) if b is None else b for b, step in zip(begins, steps, strict=True)]
    last = [(LARGE if step > 0 else -LARGE) if e is None else e for e, step in zip(ends, steps, strict=True)]
    lists = (first, last, list(range(len(first))), steps)
    return w.node("Slice", w.inputs[0], *(w.integers(*each) for each in lists))


@operator("slice_axis")
def slice_axis(w: Writing) -> list[str]:
    end = LARGE if w.told.is_open("end") else w.told.integer("end")
    return [_part(w, w.inputs[0], w.told.integer("begin"), end, w.told.integer("axis"))]


@operator("SequenceReverse", "SequenceLast")
def sequence(w: Writing) -> list[str]:
    """Along the first axis, time."""
    w.refuse("use_sequence_length", unless="False")
    w.refuse("axis", unless="0")
    if w.op == "SequenceReverse":
        return [_part(w, w.inputs[0], LARGE, -LARGE, step=-1)]
    return w.node("Squeeze", _part(w, w.inputs[0], -1, LARGE), w.integers(0))


@operator("reverse", "flip")
def reverse(w: Writing) -> list[str]:
    data = w.inputs[0]
    for axis in w.told.shape("axis"):
        data = _part(w, data, LARGE, -LARGE, axis, -1)
    return [data]


@operator("Crop")
def crop(w: Writing) -> list[str]:
    """Height and width of an image: to those of the second input, or to ``h_w``."""
    data = w.inputs[0]
    likened = len(w.inputs) > 1
    wanted = _part(w, w.one("Shape", w.inputs[1]), 2, 4) if likened else w.integers(*w.told.shape("h_w", (0, 0)))
    if w.told.flag("center_crop"):
        left = w.one("Sub", _part(w, w.one("Shape", data), 2, 4), wanted)
        begin = w.one("Div", left, w.integers(2))
    else:
        begin = w.integers(*w.told.shape("offset", (0, 0)))
    return w.node("Slice", data, begin, w.one("Add", begin, wanted), w.integers(2, 3))


@operator("tile")
def tile(w: Writing) -> list[str]:
    reps = w.told.shape("reps")
    missing = w.rank(w.inputs[0]) - len(reps)
    if missing < 0:
        raise w.refused("more reps than axes are not imported")
    return w.node("Tile", w.inputs[0], w.integers(*(1,) * missing, *reps))


@operator("Pad", "pad")
def pad(w: Writing) -> list[str]:
    mode, width = w.told.text("mode"), w.told.shape("pad_width")
    if mode not in ("constant", "edge", "reflect"):
        raise w.refused(f"mode={mode} is not imported")
    return w.node(
        "Pad", w.inputs[0], w.integers(*width[::2], *width[1::2]), w.scalar(w.told.real("constant_value", 0)), mode=mode
    )


@operator("take")
def take(w: Writing) -> list[str]:
    w.refuse("mode", unless="clip")
    data, numbers = w.inputs
    axis = w.told.integer("axis", 0)
    at = w.one("Cast", numbers, to=7)
    length = w.one("Slice", w.one("Shape", data), w.integers(axis), w.integers(axis + 1))
    last = w.one("Squeeze", w.one("Sub", length, w.integers(1)))
    zero = w.one("Squeeze", w.integers(0))
    return w.node("Gather", data, w.one("Clip", at, zero, last), axis=axis)
