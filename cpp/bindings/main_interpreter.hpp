// Modules of the main interpreter alone: what they keep (NumPy's tables, the memory of arrays) is
// the process's.
#pragma once

#include <pybind11/pybind11.h>

namespace elulayer::bindings {

// Sets an ImportError in a subinterpreter.
inline bool is_main_interpreter(const char* module) {
  if (PyInterpreterState_Get() == PyInterpreterState_Main()) {
    return true;
  }
  PyErr_Format(PyExc_ImportError,
               "elulayer.%s must be imported in the main interpreter, not in a subinterpreter: it "
               "keeps what belongs to the whole process",
               module);
  return false;
}

}  // namespace elulayer::bindings

// As PYBIND11_MODULE, and refuses a subinterpreter: before pybind11's own code, which waits there
// for ever before CPython 3.12, and again in the module's, since from 3.13 on the first function
// runs in the main interpreter whoever imports.
#define ELULAYER_MODULE(name, variable)                                                          \
  extern "C" PYBIND11_EXPORT PyObject* PyInit_##name##_in_main();                                \
  extern "C" PYBIND11_EXPORT PyObject* PyInit_##name();                                          \
  extern "C" PYBIND11_EXPORT PyObject* PyInit_##name() {                                         \
    return elulayer::bindings::is_main_interpreter(#name) ? PyInit_##name##_in_main() : nullptr; \
  }                                                                                              \
  static void define_##name(pybind11::module_& variable);                                        \
  PYBIND11_MODULE(name##_in_main, variable, pybind11::mod_gil_not_used()) {                      \
    if (!elulayer::bindings::is_main_interpreter(#name)) {                                       \
      throw pybind11::error_already_set();                                                       \
    }                                                                                            \
    define_##name(variable);                                                                     \
  }                                                                                              \
  static void define_##name(pybind11::module_& variable)
