#include "plain.hpp"

#include <pybind11/numpy.h>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <initializer_list>
#include <limits>
#include <new>
#include <utility>

#include "arrays.hpp"
#include "cpu/standard_floats.hpp"
#include "elulayer/elulayer.hpp"
#include "new_arrays.hpp"
#include "without_gil.hpp"

namespace py = pybind11;

namespace elulayer::bindings {
namespace {

using py::detail::npy_api;

// An ndarray, not of a subclass, C-contiguous, aligned and in native byte order.
bool is_plain(PyObject* object) {
  const npy_api& api = npy_api::get();
  if (Py_TYPE(object) != api.PyArray_Type_) {
    return false;
  }
  constexpr int flags = npy_api::NPY_ARRAY_C_CONTIGUOUS_ | npy_api::NPY_ARRAY_ALIGNED_;
  const auto* const array = py::detail::array_proxy(object);
  const auto* const descr = py::detail::array_descriptor_proxy(array->descr);
  return (array->flags & flags) == flags && array->nd > 0 && descr->byteorder == '=';
}

int type_of(PyObject* array) {
  return py::detail::array_descriptor_proxy(py::detail::array_proxy(array)->descr)->type_num;
}

bool same_shape_and_type(PyObject* a, PyObject* b) {
  const auto* const p = py::detail::array_proxy(a);
  const auto* const q = py::detail::array_proxy(b);
  if (p->nd != q->nd || type_of(a) != type_of(b)) {
    return false;
  }
  for (int i = 0; i < p->nd; ++i) {
    if (p->dimensions[i] != q->dimensions[i]) {
      return false;
    }
  }
  return true;
}

template <class T>
T* data_of(PyObject* array) {
  return reinterpret_cast<T*>(py::detail::array_proxy(array)->data);
}

// A new array of this type number, C-contiguous.
py::object new_array(int type, int dimensions, const Py_intptr_t* extents) {
  const npy_api& api = npy_api::get();
  PyObject* const descr = api.PyArray_DescrFromType_(type);
  PyObject* const array = api.PyArray_NewFromDescr_(api.PyArray_Type_, descr, dimensions, extents,
                                                    nullptr, nullptr, 0, nullptr);
  if (array == nullptr) {
    throw py::error_already_set();
  }
  return py::reinterpret_steal<py::object>(array);
}

// What a plain call computes with.
template <class T>
struct Arguments {
  Shape shape;
  const T* alpha = nullptr;
  T scalar = T(0);
};

// The bytes of a C-contiguous array.
struct Bytes {
  const char* begin;
  const char* end;
};

template <class T>
Bytes bytes_of(PyObject* array) {
  const auto* const proxy = py::detail::array_proxy(array);
  Py_intptr_t size = 1;
  for (int i = 0; i < proxy->nd; ++i) {
    size *= proxy->dimensions[i];
  }
  return {proxy->data, proxy->data + size * static_cast<Py_intptr_t>(sizeof(T))};
}

// `out`, or a new array like x where it is None.
template <class T>
py::object result_array(PyObject* out, PyObject* x) {
  if (out != Py_None) {
    return py::reinterpret_borrow<py::object>(out);
  }
  const auto* const array = py::detail::array_proxy(x);
  const Bytes bytes = bytes_of<T>(x);
  const CachedMemory memory(static_cast<std::size_t>(bytes.end - bytes.begin));
  return new_array(type_of(x), array->nd, array->dimensions);
}

bool apart(const Bytes& a, const Bytes& b) {
  const std::less_equal<> before;
  return before(a.end, b.begin) || before(b.end, a.begin);
}

// None, or a plain array that the kernels can write to: the same memory as an input or apart from
// it, and apart from alpha.
template <class T>
bool is_plain_out(PyObject* out, std::initializer_list<PyObject*> inputs, PyObject* alpha) {
  if (out == Py_None) {
    return true;
  }
  if (!is_plain(out) || !same_shape_and_type(out, *inputs.begin()) ||
      (py::detail::array_proxy(out)->flags & npy_api::NPY_ARRAY_WRITEABLE_) == 0) {
    return false;
  }
  const Bytes to = bytes_of<T>(out);
  for (PyObject* const input : inputs) {
    const Bytes from = bytes_of<T>(input);
    if (from.begin != to.begin && !apart(from, to)) {
      return false;
    }
  }
  return PyFloat_CheckExact(alpha) || apart(bytes_of<T>(alpha), to);
}

// False where alpha and axis do not make a plain call.
template <class T>
bool read_alpha(PyObject* x, PyObject* alpha, PyObject* axis_object, Arguments<T>& arguments) {
  const auto* const array = py::detail::array_proxy(x);
  std::int64_t size = 1;
  for (int i = 0; i < array->nd; ++i) {
    size *= array->dimensions[i];
  }
  arguments.shape = {1, 1, size};
  if (!PyLong_CheckExact(axis_object)) {
    return false;
  }
  int overflow = 0;
  const long axis = PyLong_AsLongAndOverflow(axis_object, &overflow);
  const long position = axis < 0 ? axis + array->nd : axis;
  const bool is_axis = overflow == 0 && position >= 0 && position < array->nd;
  if (PyFloat_CheckExact(alpha)) {
    const double value = PyFloat_AS_DOUBLE(alpha);
    const bool is_default = array->nd == 1 && axis == 1;
    if (!(is_axis || is_default) ||
        !(std::fabs(value) <= static_cast<double>(std::numeric_limits<T>::max()))) {
      return false;
    }
    arguments.scalar = static_cast<T>(value);
    arguments.alpha = &arguments.scalar;
    return true;
  }
  if (!is_axis || !is_plain(alpha) || type_of(alpha) != type_of(x)) {
    return false;
  }
  const auto* const vector = py::detail::array_proxy(alpha);
  const std::int64_t channels = array->dimensions[position];
  if (vector->nd != 1 || vector->dimensions[0] != channels) {
    return false;
  }
  arguments.alpha = data_of<const T>(alpha);
  if (channels != 1) {
    arguments.shape = {1, channels, 1};
    for (int i = 0; i < array->nd; ++i) {
      (i < position ? arguments.shape.outer : arguments.shape.inner) *=
          i == position ? 1 : array->dimensions[i];
    }
  }
  return true;
}

template <class T>
py::object elu_of(PyObject* x, PyObject* alpha, PyObject* axis, PyObject* out) {
  Arguments<T> arguments;
  if (!read_alpha(x, alpha, axis, arguments) || !is_plain_out<T>(out, {x}, alpha)) {
    return py::none();
  }
  py::object z = result_array<T>(out, x);
  const T* const from = data_of<const T>(x);
  T* const to = data_of<T>(z.ptr());
  {
    const WithoutGil released;
    elu(from, arguments.alpha, to, arguments.shape);
  }
  return z;
}

template <class T>
py::object elu_backward_of(PyObject* grad, PyObject* x, PyObject* alpha, PyObject* axis,
                           PyObject* out) {
  Arguments<T> arguments;
  if (!read_alpha(x, alpha, axis, arguments) || !is_plain_out<T>(out, {x, grad}, alpha)) {
    return py::none();
  }
  const Py_intptr_t channels = arguments.shape.channels;
  py::object dx = result_array<T>(out, x);
  py::object dalpha = new_array(type_of(x), 1, &channels);
  const T* const g = data_of<const T>(grad);
  const T* const from = data_of<const T>(x);
  T* const to = data_of<T>(dx.ptr());
  T* const da = data_of<T>(dalpha.ptr());
  {
    const WithoutGil released;
    elu_backward(g, from, arguments.alpha, to, da, arguments.shape);
  }
  return py::make_tuple(std::move(dx), std::move(dalpha));
}

// A Python function of `count` positional arguments; C++ exceptions become Python's.
template <Py_ssize_t expected, class Function>
PyObject* call(Py_ssize_t count, const Function& function) {
  if (count != expected) {
    PyErr_Format(PyExc_TypeError, "%zd arguments must be given, not %zd", expected, count);
    return nullptr;
  }
  const cpu::StandardFloats floats;  // a number given as alpha is rounded, too
  try {
    return function().release().ptr();
  } catch (py::error_already_set& error) {
    error.restore();
  } catch (const std::bad_alloc&) {
    PyErr_NoMemory();
  } catch (const std::exception& error) {
    PyErr_SetString(PyExc_RuntimeError, error.what());
  }
  return nullptr;
}

PyObject* elu_plain(PyObject*, PyObject* const* args, Py_ssize_t count) {
  return call<4>(count, [args]() -> py::object {
    PyObject* const x = args[0];
    if (!is_plain(x)) {
      return py::none();
    }
    switch (type_of(x)) {
      case npy_float32:
        return elu_of<float>(x, args[1], args[2], args[3]);
      case npy_float64:
        return elu_of<double>(x, args[1], args[2], args[3]);
      default:
        return py::none();
    }
  });
}

PyObject* elu_backward_plain(PyObject*, PyObject* const* args, Py_ssize_t count) {
  return call<5>(count, [args]() -> py::object {
    PyObject* const grad = args[0];
    PyObject* const x = args[1];
    if (!is_plain(x) || !is_plain(grad) || !same_shape_and_type(grad, x)) {
      return py::none();
    }
    switch (type_of(x)) {
      case npy_float32:
        return elu_backward_of<float>(grad, x, args[2], args[3], args[4]);
      case npy_float64:
        return elu_backward_of<double>(grad, x, args[2], args[3], args[4]);
      default:
        return py::none();
    }
  });
}

// METH_FASTCALL: no tuple of arguments is made, and pybind11's dispatcher is not passed.
template <class Function>
PyCFunction as_method(Function* function) {
  return reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(function));
}

PyMethodDef methods[] = {
    {"elu_plain", as_method(elu_plain), METH_FASTCALL, "elu_plain(x, alpha, axis, out, /)\n--\n\n"},
    {"elu_backward_plain", as_method(elu_backward_plain), METH_FASTCALL,
     "elu_backward_plain(grad, x, alpha, axis, out, /)\n--\n\n"},
    {nullptr, nullptr, 0, nullptr},
};

}  // namespace

void register_plain_functions(py::module_& m) {
  if (PyModule_AddFunctions(m.ptr(), methods) != 0) {
    throw py::error_already_set();
  }
}

}  // namespace elulayer::bindings
