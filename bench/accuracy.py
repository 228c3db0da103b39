"""The exact results in wider arithmetic, and how far a peer's are from them."""

from __future__ import annotations

import numpy as np

# Where every term is correct, dalpha is within this many epsilon times the sum of their magnitudes.
DALPHA_BOUND = 3

# A result further off than this computes something else; times the magnitude of what was added.
GROSS = {"float32": 1e-4, "float64": 1e-10}


class Exact:
    """Results in a dtype with more digits than x's, from formulae that share no code with a peer.

    Attributes
    ----------
    results : dict
        Z and, where `grad` is given, dX and dalpha (per channel).
    magnitude : dict
        By the same names, the scale that an error is grossly wrong on.
    """

    def __init__(self, function, x, grad, alpha, axis):
        self.dtype = x.dtype
        wide = np.float64 if x.dtype == np.float32 else np.longdouble
        x = x.astype(wide)
        if function != "elu":
            Z = {"copy": x, "relu": np.where(x > 0, x, 0)}[function]
            self.results = {"Z": Z}
            self.magnitude = {"Z": np.abs(Z)}
            return
        a = np.asarray(alpha, wide)
        if a.ndim:
            a = a.reshape([-1 if i == axis % x.ndim else 1 for i in range(x.ndim)])
        unit = np.expm1(np.minimum(x, 0))
        self.results = {"Z": np.where(x > 0, x, a * unit)}
        self.magnitude = {"Z": np.abs(a) + np.abs(self.results["Z"])}
        if grad is None:
            return
        grad = grad.astype(wide)
        self.results["dX"] = np.where(x > 0, grad, grad * a * np.exp(np.minimum(x, 0)))
        self.magnitude["dX"] = np.abs(grad)
        terms = np.moveaxis(np.where(x > 0, 0, grad * unit), axis, 0).reshape(x.shape[axis], -1)
        self.results["dalpha"] = terms.sum(axis=1)
        self.magnitude["dalpha"] = np.abs(terms).sum(axis=1)

    def errors(self, results):
        """Compare a peer's `results`, a dict of arrays.

        Returns the worst error of Z and dX in ULP of the exact value rounded to the dtype, that of
        dalpha as a part of its bound, and what is grossly wrong, one line each.
        """
        errors, wrong = {}, []
        for name, result in results.items():
            exact = self.results[name]
            if result.shape != exact.shape or result.dtype != self.dtype:
                wrong.append(
                    f"{name} is {result.dtype} of shape {result.shape}, "
                    f"not {self.dtype} of shape {exact.shape}"
                )
                continue
            error = np.abs(result.astype(exact.dtype) - exact)
            gross = ~(error <= GROSS[self.dtype.name] * self.magnitude[name])
            if gross.any():
                at = np.unravel_index(np.argmax(gross), gross.shape)
                wrong.append(f"{name}{[int(i) for i in at]} is {result[at]}, not {exact[at]:.9g}")
            errors[name] = float(np.max(error / self._unit(name), initial=0))
        return errors, wrong

    def _unit(self, name):
        if name == "dalpha":
            return DALPHA_BOUND * np.finfo(self.dtype).eps * self.magnitude[name]
        return np.spacing(np.abs(self.results[name]).astype(self.dtype))
