"""The peers: each computes the same function with another library.

A new peer is a class here with the decorator `peer`, and its name in a list of `workloads.py`.
Libraries are imported by the constructor, so that this module needs none of them.
"""

# ruff: noqa: D102 - the methods are documented in Peer

from __future__ import annotations

import os

import numpy as np

PEERS = {}


def peer(cls):
    """Register a class under its `key`."""
    PEERS[cls.key] = cls
    return cls


class UnsupportedError(Exception):
    """A peer does not have the function for these arrays."""


class Peer:
    """A way to compute the function.

    Attributes
    ----------
    key, name : str
        For lists of peers, and for people.
    library, version : str
        What the peer is made with.
    note : str
        What it does not compute.
    function : str
        What its results are checked against: "elu", "relu", "copy" or, for no check, "none".
    scalar_alpha : bool
        It takes one number for all channels.
    has_gradients : bool
        It has `forward_backward`.
    """

    key = name = library = version = note = ""
    function = "elu"
    scalar_alpha = False
    has_gradients = True

    def __init__(self, threads):
        """Import what is needed and have it use this many threads.

        The environment variables of OpenMP, BLAS, numexpr and numba are set already.
        """

    def prepare(self, x, grad, alpha, axis):
        """Take NumPy arrays (grad may be None), convert and compile; raise `UnsupportedError`."""
        raise NotImplementedError

    def forward(self):
        """Return Z, complete, in the library's own type of array."""
        raise NotImplementedError

    def forward_backward(self):
        """Return Z, dX and dalpha; those it does not have are None."""
        raise NotImplementedError

    def to_numpy(self, array):
        return np.asarray(array)


def per_channel(alpha, x, axis):
    """Alpha in the shape that broadcasts along `axis` of x."""
    return alpha.reshape([-1 if i == axis % x.ndim else 1 for i in range(x.ndim)])


def other_axes(x, axis):
    return tuple(i for i in range(x.ndim) if i != axis % x.ndim)


@peer
class Elulayer(Peer):
    """The package, with results in new arrays."""

    key = name = library = "elulayer"

    def __init__(self, threads):
        import elulayer

        self.el = elulayer
        self.version = elulayer.__version__

    def prepare(self, x, grad, alpha, axis):
        self.x, self.grad, self.alpha, self.axis = x, grad, alpha, axis

    def forward(self):
        return self.el.elu(self.x, self.alpha, axis=self.axis)

    def forward_backward(self):
        Z = self.el.elu(self.x, self.alpha, axis=self.axis)
        return Z, *self.el.elu_backward(self.grad, self.x, self.alpha, axis=self.axis)


@peer
class ElulayerOut(Elulayer):
    """The package, with results in arrays that are there already."""

    key = "elulayer-out"
    name = "elulayer, out="

    def prepare(self, x, grad, alpha, axis):
        super().prepare(x, grad, alpha, axis)
        self.Z = np.zeros_like(x)
        self.dX = None if grad is None else np.zeros_like(x)

    def forward(self):
        return self.el.elu(self.x, self.alpha, axis=self.axis, out=self.Z)

    def forward_backward(self):
        el, x, alpha, axis = self.el, self.x, self.alpha, self.axis
        Z = el.elu(x, alpha, axis=axis, out=self.Z)
        return Z, *el.elu_backward(self.grad, x, alpha, axis=axis, out=self.dX)


@peer
class NumPy(Peer):
    """One expression of maximum, minimum and exp, as the readers of the blog's post write it."""

    key = "numpy"
    library = "NumPy"
    name = "NumPy, maximum and exp"

    def __init__(self, threads):
        self.version = np.__version__

    def prepare(self, x, grad, alpha, axis):
        self.x, self.grad = x, grad
        self.alpha = per_channel(alpha, x, axis)
        self.axes = other_axes(x, axis)

    def forward(self):
        X, alpha = self.x, self.alpha
        return np.maximum(0, X) + alpha * (np.exp(np.minimum(X, 0)) - 1)

    def forward_backward(self):
        X, alpha, dLdZ = self.x, self.alpha, self.grad
        Z = self.forward()
        dLdX = dLdZ * ((X > 0) + (alpha + Z) * (X <= 0))
        dLdalpha = np.sum((np.exp(np.minimum(X, 0)) - 1) * dLdZ, axis=self.axes)
        return Z, dLdX, dLdalpha


@peer
class NumPyMaximum(Peer):
    """One call of a NumPy ufunc."""

    key = "numpy-maximum"
    library = "NumPy"
    name = "np.maximum(x, 0)"
    note = "ReLU"
    function = "relu"
    has_gradients = False

    def __init__(self, threads):
        self.version = np.__version__

    def prepare(self, x, grad, alpha, axis):
        self.x = x

    def forward(self):
        return np.maximum(self.x, 0)


@peer
class EmptyCall(Peer):
    """A method that does nothing, as every peer's is called."""

    key = "empty-call"
    name = "an empty method"
    note = "what the loop itself takes"
    function = "none"
    has_gradients = False

    def __init__(self, threads):
        pass

    def prepare(self, x, grad, alpha, axis):
        pass

    def forward(self):
        pass


class TorchPeer(Peer):
    """What the peers of torch have in common: tensors of its own allocator."""

    library = "torch"

    def __init__(self, threads):
        import torch

        self.torch = torch
        self.version = torch.__version__
        torch.set_num_threads(threads)

    def tensor(self, array, *, learned=False):
        copy = self.torch.from_numpy(array).clone(memory_format=self.torch.contiguous_format)
        return copy.requires_grad_(learned)

    def to_numpy(self, array):
        return array.detach().numpy()


@peer
class Torch(TorchPeer):
    """The function as two of torch's operations; gradients by autograd."""

    key = "torch"
    name = "torch eager, prelu(elu(x), alpha)"

    def compile(self, function):
        return function

    def prepare(self, x, grad, alpha, axis):
        functional = self.torch.nn.functional
        self.constants = self.tensor(x), self.tensor(alpha)
        if grad is not None:
            self.learned = [tensor.detach().requires_grad_() for tensor in self.constants]
            self.grad = self.tensor(grad)

        def elu(x, alpha):  # prelu has the channels on axis 1
            Z = functional.prelu(functional.elu(x.movedim(axis, 1)), alpha)
            return Z.movedim(1, axis)

        self.elu = self.compile(elu)

    def forward(self):
        with self.torch.no_grad():
            return self.elu(*self.constants)

    def forward_backward(self):
        Z = self.elu(*self.learned)
        dX, dalpha = self.torch.autograd.grad(Z, self.learned, self.grad)
        return Z, dX, dalpha


@peer
class TorchCompile(Torch):
    """The same through torch's compiler, once for every shape."""

    key = "torch-compile"
    name = "torch.compile of the same"

    def __init__(self, threads):
        # In this process, so that no pool of compiling processes is left.
        os.environ["TORCHINDUCTOR_COMPILE_THREADS"] = "1"
        super().__init__(threads)

    def compile(self, function):
        self.torch._dynamo.reset()
        return self.torch.compile(function, dynamic=False, fullgraph=True)


@peer
class ElulayerTorch(Torch):
    """The package's operator for torch; gradients by autograd."""

    key = "elulayer-torch"
    name = "elulayer.torch"

    def compile(self, function):
        from elulayer.torch import elu

        return lambda x, alpha: elu(x, alpha, dim=self.axis)

    def prepare(self, x, grad, alpha, axis):
        self.axis = axis
        super().prepare(x, grad, alpha, axis)


@peer
class TorchELU(TorchPeer):
    """torch's own ELU."""

    key = "torch-elu"
    name = "torch F.elu"
    note = "scalar alpha, no alpha gradient"
    scalar_alpha = True

    def prepare(self, x, grad, alpha, axis):
        self.x = self.tensor(x)
        self.alpha = alpha
        self.elu = self.torch.nn.functional.elu
        if grad is not None:
            self.learned = self.x.detach().requires_grad_()
            self.grad = self.tensor(grad)

    def forward(self):
        return self.elu(self.x, self.alpha)

    def forward_backward(self):
        Z = self.elu(self.learned, self.alpha)
        (dX,) = self.torch.autograd.grad(Z, self.learned, self.grad)
        return Z, dX, None


@peer
class JAX(Peer):
    """Composed of JAX's operations and compiled; one program for Z and the gradients."""

    key = "jax"
    library = "JAX"
    name = "JAX jit, composed"

    def __init__(self, threads):
        # The size of XLA's pool is the number of processors that the process may run on.
        if hasattr(os, "sched_setaffinity"):
            os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])
        os.environ["JAX_PLATFORMS"] = "cpu"
        import jax

        self.jax = jax
        self.version = jax.__version__

    def shaped(self, alpha, x, axis):
        return per_channel(alpha, x, axis)

    def elu(self, x, alpha):
        jnp = self.jax.numpy
        return jnp.where(x > 0, x, alpha * jnp.expm1(jnp.minimum(x, 0)))

    def prepare(self, x, grad, alpha, axis):
        jax = self.jax
        if x.dtype != np.float32:
            raise UnsupportedError("JAX has float64 only after a switch for the whole process")

        self.axis = axis

        def elu_and_gradients(x, alpha, grad):
            Z, gradients = jax.vjp(self.elu, x, alpha)
            dX, dalpha = gradients(grad)
            return Z, dX, dalpha.reshape(-1)

        self.inputs = [jax.numpy.array(x), jax.numpy.array(self.shaped(alpha, x, axis))]
        self.grad = None if grad is None else jax.numpy.array(grad)
        self.compiled = jax.jit(self.elu)
        self.elu_and_gradients = jax.jit(elu_and_gradients)

    def forward(self):
        return self.compiled(*self.inputs).block_until_ready()

    def forward_backward(self):
        return self.jax.block_until_ready(self.elu_and_gradients(*self.inputs, self.grad))


@peer
class ElulayerJAX(JAX):
    """The package's function for JAX, compiled, by XLA's foreign function interface."""

    key = "elulayer-jax"
    name = "elulayer.jax"

    def __init__(self, threads):
        super().__init__(threads)
        from elulayer.jax import backend, elu

        if backend != "xla-ffi":
            raise UnsupportedError("built without ELULAYER_XLA_INCLUDE (docs/jax.md)")
        self.function_of_axis = elu

    def shaped(self, alpha, x, axis):
        return alpha

    def elu(self, x, alpha):
        return self.function_of_axis(x, alpha, self.axis)


@peer
class ONNXRuntime(Peer):
    """The operator Elu in a model of its own."""

    key = "onnxruntime"
    library = "ONNX Runtime"
    name = "ONNX Runtime Elu"
    note = "scalar alpha, forward only"
    scalar_alpha = True
    has_gradients = False

    def __init__(self, threads):
        import onnx
        import onnxruntime

        self.onnx, self.runtime, self.threads = onnx, onnxruntime, threads
        self.version = onnxruntime.__version__

    def prepare(self, x, grad, alpha, axis):
        if x.dtype != np.float32:
            raise UnsupportedError(f"no Elu for {x.dtype}")
        helper = self.onnx.helper
        x_info, z_info = (
            helper.make_tensor_value_info(name, self.onnx.TensorProto.FLOAT, x.shape)
            for name in ("x", "Z")
        )
        node = helper.make_node("Elu", ["x"], ["Z"], alpha=alpha)
        model = helper.make_model(
            helper.make_graph([node], "elu", [x_info], [z_info]),
            opset_imports=[helper.make_opsetid("", 13)],
            ir_version=8,
        )
        options = self.runtime.SessionOptions()
        options.intra_op_num_threads = self.threads
        self.session = self.runtime.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        self.feed = {"x": x}

    def forward(self):
        return self.session.run(None, self.feed)[0]


class NumbaPeer(Peer):
    """What the peers of numba have in common."""

    library = "numba"

    def __init__(self, threads):
        import numba

        self.numba = numba
        self.version = numba.__version__
        numba.set_num_threads(threads)


@peer
class Numba(NumbaPeer):
    """Loops over (outer, channels, inner), parallel over blocks of the outer indices."""

    key = "numba"
    name = "numba, parallel loops"

    def __init__(self, threads):
        super().__init__(threads)
        self.blocks = 4 * threads
        self.kernels = numba_kernels(self.numba)

    def prepare(self, x, grad, alpha, axis):
        channel = axis % x.ndim
        shape = (int(np.prod(x.shape[:channel])), x.shape[channel], -1)
        self.shape = x.shape
        self.x, self.alpha = x.reshape(shape), alpha
        self.grad = None if grad is None else grad.reshape(shape)

    def forward(self):
        Z = np.empty_like(self.x)
        self.kernels[0](self.x, self.alpha, Z, self.blocks)
        return Z.reshape(self.shape)

    def forward_backward(self):
        Z, dX = np.empty_like(self.x), np.empty_like(self.x)
        partial = np.zeros((self.blocks, len(self.alpha)))
        self.kernels[0](self.x, self.alpha, Z, self.blocks)
        self.kernels[1](self.grad, self.x, self.alpha, dX, partial)
        dalpha = partial.sum(axis=0).astype(self.x.dtype)
        return Z.reshape(self.shape), dX.reshape(self.shape), dalpha


def numba_kernels(numba):
    @numba.njit(parallel=True)
    def elu(x, alpha, Z, blocks):
        outer, channels, inner = x.shape
        for block in numba.prange(blocks):
            for o in range(block * outer // blocks, (block + 1) * outer // blocks):
                for c in range(channels):
                    a = alpha[c]
                    for i in range(inner):
                        value = x[o, c, i]
                        Z[o, c, i] = value if value > 0 else a * np.expm1(value)

    @numba.njit(parallel=True)
    def elu_backward(grad, x, alpha, dX, partial):
        outer, channels, inner = x.shape
        blocks = partial.shape[0]
        for block in numba.prange(blocks):
            for o in range(block * outer // blocks, (block + 1) * outer // blocks):
                for c in range(channels):
                    a = alpha[c]
                    total = 0.0
                    for i in range(inner):
                        value, g = x[o, c, i], grad[o, c, i]
                        if value > 0:
                            dX[o, c, i] = g
                        else:
                            dX[o, c, i] = g * a * np.exp(value)
                            total += g * np.expm1(value)
                    partial[block, c] += total

    return elu, elu_backward


@peer
class NumExpr(Peer):
    """One expression each for Z, dX and alpha's terms; NumPy adds the terms up."""

    key = name = library = "numexpr"

    def __init__(self, threads):
        import numexpr

        self.numexpr = numexpr
        self.version = numexpr.__version__
        numexpr.set_num_threads(threads)

    def prepare(self, x, grad, alpha, axis):
        self.names = {"x": x, "a": per_channel(alpha, x, axis)}
        if grad is not None:
            self.names["g"] = grad
        self.axes = other_axes(x, axis)

    def evaluate(self, expression):
        return self.numexpr.evaluate(expression, self.names, {})

    def forward(self):
        return self.evaluate("where(x > 0, x, a * expm1(x))")

    def forward_backward(self):
        Z = self.forward()
        dX = self.evaluate("where(x > 0, g, g * a * exp(x))")
        terms = self.evaluate("where(x > 0, 0, g * expm1(x))")
        return Z, dX, np.sum(terms, axis=self.axes)


class Copy(Peer):
    """A copy into an array that is there already: the ceiling of what has to move x and Z."""

    function = "copy"
    has_gradients = False


@peer
class CopyNumPy(Copy):
    """One thread."""

    key = "copy-numpy"
    library = "NumPy"
    name = "copy by np.copyto, one thread"

    def __init__(self, threads):
        self.version = np.__version__

    def prepare(self, x, grad, alpha, axis):
        self.x, self.out = x, np.zeros_like(x)

    def forward(self):
        np.copyto(self.out, self.x)
        return self.out


@peer
class CopyTorch(Copy, TorchPeer):
    """As many threads as torch thinks fit."""

    key = "copy-torch"
    name = "copy by torch copy_"

    def prepare(self, x, grad, alpha, axis):
        self.x = self.tensor(x)
        self.out = self.torch.zeros_like(self.x)

    def forward(self):
        return self.out.copy_(self.x)


@peer
class CopyNumba(Copy, NumbaPeer):
    """All threads, a part for each."""

    key = "copy-numba"
    name = "copy by numba, all threads"

    def __init__(self, threads):
        super().__init__(threads)
        numba, self.parts = self.numba, threads

        @numba.njit(parallel=True)
        def copy(x, out, parts):
            for part in numba.prange(parts):
                first, last = part * x.size // parts, (part + 1) * x.size // parts
                out[first:last] = x[first:last]

        self.copy = copy

    def prepare(self, x, grad, alpha, axis):
        self.x, self.out = x, np.zeros_like(x)

    def forward(self):
        self.copy(self.x.reshape(-1), self.out.reshape(-1), self.parts)
        return self.out
