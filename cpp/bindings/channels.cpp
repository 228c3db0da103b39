#include "channels.hpp"

#include "arrays.hpp"
#include "batch_normalization/channels.hpp"
#include "without_gil.hpp"

namespace elulayer::bindings {
namespace {

// function(Type<T>{}) for float32 and float64.
template <class Function>
void with_float_type_of(const py::array& array, const Function& function) {
  switch (array.dtype().num()) {
    case npy_float32:
      return function(Type<float>{});
    case npy_float64:
      return function(Type<double>{});
    default:
      throw py::type_error("x must have dtype float32 or float64");
  }
}

// (N, C, ...) as (outer, channels, inner).
Shape shape_of(const py::array& x) {
  if (x.ndim() < 2) {
    throw py::value_error("x must have shape (N, C, ...)");
  }
  std::int64_t inner = 1;
  for (py::ssize_t axis = 2; axis < x.ndim(); ++axis) {
    inner *= x.shape(axis);
  }
  return {x.shape(0), x.shape(1), inner};
}

void call_moments(const py::array& x, py::array& mean, py::array& variance) {
  const Shape shape = shape_of(x);
  double* const m = output<double>("mean", mean, shape.channels);
  double* const v = output<double>("variance", variance, shape.channels);
  with_float_type_of(x, [&](auto type) {
    using T = typename decltype(type)::type;
    const T* const from = input<T>("x", x, x.size());
    const WithoutGil released;
    batch_normalization::channel_moments(from, m, v, shape, 0);
  });
}

void call_dots(const py::array& g, const py::array& x, const py::array& center, py::array& sums,
               py::array& dots) {
  const Shape shape = shape_of(x);
  const auto* const c = input<double>("center", center, shape.channels);
  double* const s = output<double>("sums", sums, shape.channels);
  double* const d = output<double>("dots", dots, shape.channels);
  with_float_type_of(x, [&](auto type) {
    using T = typename decltype(type)::type;
    const T* const grad = input<T>("g", g, x.size());
    const T* const from = input<T>("x", x, x.size());
    const WithoutGil released;
    batch_normalization::channel_dots(grad, from, c, s, d, shape, 0);
  });
}

void call_affine(const py::array& x, const py::array& center, const py::array& a,
                 const py::array& b, py::array& z) {
  const Shape shape = shape_of(x);
  const auto* const c = input<double>("center", center, shape.channels);
  const auto* const as = input<double>("a", a, shape.channels);
  const auto* const bs = input<double>("b", b, shape.channels);
  with_float_type_of(x, [&](auto type) {
    using T = typename decltype(type)::type;
    const T* const from = input<T>("x", x, x.size());
    T* const to = output<T>("z", z, x.size());
    const WithoutGil released;
    batch_normalization::channel_affine(from, c, as, bs, to, shape, 0);
  });
}

void call_affine_gradient(const py::array& g, const py::array& x, const py::array& center,
                          const py::array& a, const py::array& b, const py::array& d,
                          py::array& dx) {
  const Shape shape = shape_of(x);
  const auto* const c = input<double>("center", center, shape.channels);
  const auto* const as = input<double>("a", a, shape.channels);
  const auto* const bs = input<double>("b", b, shape.channels);
  const auto* const ds = input<double>("d", d, shape.channels);
  with_float_type_of(x, [&](auto type) {
    using T = typename decltype(type)::type;
    const T* const grad = input<T>("g", g, x.size());
    const T* const from = input<T>("x", x, x.size());
    T* const to = output<T>("dx", dx, x.size());
    const WithoutGil released;
    batch_normalization::channel_affine_gradient(grad, from, c, as, bs, ds, to, shape, 0);
  });
}

}  // namespace

void register_channel_functions(py::module_& m) {
  m.def("channel_moments", &call_moments, py::arg("x"), py::arg("mean"), py::arg("variance"));
  m.def("channel_dots", &call_dots, py::arg("g"), py::arg("x"), py::arg("center"), py::arg("sums"),
        py::arg("dots"));
  m.def("channel_affine", &call_affine, py::arg("x"), py::arg("center"), py::arg("a"), py::arg("b"),
        py::arg("z"));
  m.def("channel_affine_gradient", &call_affine_gradient, py::arg("g"), py::arg("x"),
        py::arg("center"), py::arg("a"), py::arg("b"), py::arg("d"), py::arg("dx"));
}

}  // namespace elulayer::bindings
