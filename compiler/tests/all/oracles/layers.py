"""Reference values and gradients of convolutions, pooling, normalisation, recurrences, tables and resizing, by JAX in
double precision. Writes `layers.json` beside itself: cases for `mod.rs`, each with the text that asks the library.

    python compiler/tests/all/oracles/layers.py
"""

import json
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

jax.config.update("jax_enable_x64", True)

random = np.random.default_rng(7)
cases = []


def array(*shape):
    """Numbers that three digits say exactly."""
    return np.round(random.normal(size=shape), 2)


def listed(a):
    a = np.asarray(a, dtype=np.float64)
    return {"shape": list(a.shape), "data": [float(f"{x:.15g}") for x in a.reshape(-1)]}


def case(name, value, function, inputs, axes, use="", instance=None):
    """`value` is the library's text for `function` of `inputs`; names with a dot are parameters of the instance `it`."""
    inputs = {key: np.asarray(x, dtype=np.float64) for key, x in inputs.items()}
    y, pull = jax.vjp(lambda inputs: function(**{k.replace(".", "_"): x for k, x in inputs.items()}).reshape(-1), inputs)
    ct = array(*y.shape)
    (gradients,) = pull(jnp.asarray(ct))
    cases.append({
        "name": name,
        "program": {"import": use, "instance": instance, "value": value},
        "axes": {key: names.split() for key, names in axes.items()},
        "settings": {},
        "inputs": {key: listed(x) for key, x in inputs.items()},
        "value": listed(y),
        "cotangent": listed(ct),
        "gradients": {key: listed(x) for key, x in gradients.items()},
    })


def conv(x, w, stride=(1, 1), padding=(0, 0), dilation=(1, 1), groups=1):
    return lax.conv_general_dilated(
        x, w, stride, [(p, p) for p in padding], rhs_dilation=dilation, feature_group_count=groups,
        dimension_numbers=("NCHW", "OIHW", "NCHW"))


def conv_transpose(x, w, stride=1, padding=0, output_padding=0):
    """The gradient of a convolution by its input, as frameworks define it: `w` is [In, Out, KH, KW]."""
    size = lambda n, k: (n - 1) * stride - 2 * padding + k + output_padding
    shape = (x.shape[0], w.shape[1], size(x.shape[2], w.shape[2]), size(x.shape[3], w.shape[3]))
    forward = lambda y: conv(y, w, (stride, stride), (padding, padding))
    return jax.vjp(forward, jnp.zeros(shape))[1](x)[0]


def pool(x, start, combine, size, stride, padding):
    return lax.reduce_window(
        x, start, combine, (1, 1, *size), (1, 1, *stride), [(0, 0), (0, 0)] + [(p, p) for p in padding])


IMAGE = {"x": "B C H W", "w": "O I KH KW"}
BOTH = dict(x=array(2, 2, 5, 6), w=array(4, 2, 3, 3))
case("conv2d", "conv2d(x, w)", conv, BOTH, IMAGE)
case("conv2d stride and padding", "conv2d(x, w, stride: 2, padding: 1)",
     lambda x, w: conv(x, w, (2, 2), (1, 1)), BOTH, IMAGE)
case("conv2d of pairs", "conv2d(x, w, stride: (1, 3), padding: (2, 1), dilation: (2, 1))",
     lambda x, w: conv(x, w, (1, 3), (2, 1), (2, 1)), BOTH, IMAGE)
case("conv2d same", 'conv2d(x, w, padding: "same", dilation: 2)',
     lambda x, w: conv(x, w, (1, 1), (2, 2), (2, 2)), BOTH, IMAGE)
case("conv2d groups", "conv2d(x, w, padding: 1, groups: 2)", lambda x, w: conv(x, w, (1, 1), (1, 1), groups=2),
     dict(x=array(1, 4, 4, 5), w=array(6, 2, 3, 2)), IMAGE)
case("conv2d depthwise", "conv2d(x, w, stride: 2, padding: 1, groups: 4)",
     lambda x, w: conv(x, w, (2, 2), (1, 1), groups=4), dict(x=array(2, 4, 5, 5), w=array(4, 1, 3, 3)), IMAGE)
case("conv2d of one pixel", "conv2d(x, w)", conv, dict(x=array(2, 3, 3, 4), w=array(5, 3, 1, 1)), IMAGE)

TRANSPOSED = {"x": "B C H W", "w": "I O KH KW"}
case("conv_transpose2d", "conv_transpose2d(x, w, stride: 2, padding: 1)",
     lambda x, w: conv_transpose(x, w, 2, 1), dict(x=array(1, 3, 3, 4), w=array(3, 2, 4, 4)), TRANSPOSED)
case("conv_transpose2d output padding", "conv_transpose2d(x, w, stride: 3, padding: 1, output_padding: 2)",
     lambda x, w: conv_transpose(x, w, 3, 1, 2), dict(x=array(1, 2, 3, 2), w=array(2, 3, 3, 3)), TRANSPOSED)

PICTURE = dict(x=array(2, 2, 6, 5))
PIXELS = {"x": "B C H W"}
case("max_pool", "max_pool(x, 2)", lambda x: pool(x, -jnp.inf, lax.max, (2, 2), (2, 2), (0, 0)), PICTURE, PIXELS)
case("max_pool overlapping", "max_pool(x, 3, stride: 2, padding: 1)",
     lambda x: pool(x, -jnp.inf, lax.max, (3, 3), (2, 2), (1, 1)), PICTURE, PIXELS)
case("avg_pool", "avg_pool(x, 2)", lambda x: pool(x, 0.0, lax.add, (2, 2), (2, 2), (0, 0)) / 4, PICTURE, PIXELS)


def mean_seen(x):
    """The mean of what each window sees of the image."""
    window = (0.0, lax.add, (3, 3), (2, 2), (1, 1))
    return pool(x, *window) / pool(jnp.ones_like(x), *window)


case("avg_pool overlapping", "avg_pool(x, 3, stride: 2, padding: 1)", mean_seen, PICTURE, PIXELS)


def batch_norm(x, it_scale, it_shift):
    m = x.mean((0, 2, 3), keepdims=True)
    v = ((x - m) ** 2).mean((0, 2, 3), keepdims=True)
    return (x - m) / jnp.sqrt(v + 1e-5) * it_scale[:, None, None] + it_shift[:, None, None]


case("BatchNorm", "it(x)", batch_norm, {"x": array(3, 2, 2, 3), "it.scale": array(2), "it.shift": array(2)},
     PIXELS, "std.layers.BatchNorm", "BatchNorm")


def lstm(x, it_w, it_step_u, it_step_b):
    h = c = jnp.zeros((x.shape[1], it_w.shape[2]))
    hs = []
    for at in x:
        i, f, g, o = [at @ it_w[:, k] + h @ it_step_u[:, k] + it_step_b[k] for k in range(4)]
        c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
        h = jax.nn.sigmoid(o) * jnp.tanh(c)
        hs.append(h)
    return jnp.stack(hs)


def gru(x, it_w, it_step_u, it_step_b, it_step_c):
    h = jnp.zeros((x.shape[1], it_w.shape[2]))
    hs = []
    for at in x:
        ri, zi, ni = [at @ it_w[:, k] + it_step_b[k] for k in range(3)]
        rh, zh, nh = [h @ it_step_u[:, k] for k in range(3)]
        r, z = jax.nn.sigmoid(ri + rh), jax.nn.sigmoid(zi + zh)
        h = (1 - z) * jnp.tanh(ni + r * (nh + it_step_c)) + z * h
        hs.append(h)
    return jnp.stack(hs)


def rnn(x, it_w, it_step_u, it_step_b):
    h = jnp.zeros((x.shape[1], it_w.shape[1]))
    hs = []
    for at in x:
        h = jnp.tanh(at @ it_w + h @ it_step_u + it_step_b)
        hs.append(h)
    return jnp.stack(hs)


SEQUENCE = {"x": "T B In"}
case("Lstm", "it(x)", lstm,
     {"x": array(4, 2, 3), "it.w": array(3, 4, 2), "it.step.u": array(2, 4, 2), "it.step.b": array(4, 2)},
     SEQUENCE, "std.layers.Lstm", "Lstm[Hidden = 2]")
case("Gru", "it(x)", gru,
     {"x": array(4, 2, 3), "it.w": array(3, 3, 2), "it.step.u": array(2, 3, 2), "it.step.b": array(3, 2),
      "it.step.c": array(2)}, SEQUENCE, "std.layers.Gru", "Gru[Hidden = 2]")
case("Rnn", "it(x)", rnn, {"x": array(4, 2, 3), "it.w": array(3, 2), "it.step.u": array(2, 2), "it.step.b": array(2)},
     SEQUENCE, "std.layers.Rnn", "Rnn[Hidden = 2]")


def bilinear(height, width):
    return lambda x: jax.image.resize(x, (*x.shape[:2], height, width), "bilinear", antialias=False)


def aligned(height, width):
    """Along each axis NumPy's interpolation between positions that keep the corners."""
    def matrix(size, to):
        at = np.linspace(0, size - 1, to)
        return np.stack([np.interp(at, np.arange(size), row) for row in np.eye(size)], axis=1)
    return lambda x: jnp.einsum("bchw,ih,jw->bcij", x, matrix(x.shape[2], height), matrix(x.shape[3], width))


SMALL = dict(x=array(1, 2, 3, 4))
case("resize up", "resize(x, 5, 8)", bilinear(5, 8), SMALL, PIXELS, "std.layers.resize")
case("resize down", "resize(x, 2, 3)", bilinear(2, 3), SMALL, PIXELS, "std.layers.resize")
case("resize aligned", "resize(x, 5, 7, align_corners: true)", aligned(5, 7), SMALL, PIXELS, "std.layers.resize")

case("gather", "gather(table, int(abs(positions(4) * 2 - 1)))",
     lambda table: jnp.take(table, jnp.array([1, 1, 3, 5]), axis=0, mode="fill", fill_value=0),
     dict(table=array(5, 3)), {"table": "N F"})
case("cumsum", "cumsum(x, T)", lambda x: jnp.cumsum(x, 0), dict(x=array(5, 3)), {"x": "T F"})
case("concat, slice and pad", "concat(slice(x, T, 1..4), pad(y, T, 1, 2, value: 0.5), over: T)",
     lambda x, y: jnp.concatenate([x[1:4], jnp.pad(y, ((1, 2), (0, 0)), constant_values=0.5)]),
     dict(x=array(5, 3), y=array(2, 3)), {"x": "T F", "y": "T F"})
case("slice by steps", "slice(x, T, 1..6, step: 2)", lambda x: x[1:6:2], dict(x=array(7, 2)), {"x": "T F"})
case("top_k", "where(top_k(x, 2, F), x, 0)",
     lambda x: jnp.where(x >= lax.top_k(x, 2)[0][:, -1:], x, 0), dict(x=array(3, 5)), {"x": "T F"})

path = pathlib.Path(__file__).with_suffix(".json")
path.write_text("[\n" + ",\n".join(json.dumps(case) for case in cases) + "\n]\n")
print(f"{len(cases)} cases, {path.stat().st_size} bytes")
