// Modules of the main interpreter alone: what they keep (NumPy's tables, the memory of arrays) is
// the process's.
#pragma once

#include <pybind11/pybind11.h>

#include <string>

namespace elulayer::bindings {

inline bool is_main_interpreter() { return PyInterpreterState_Get() == PyInterpreterState_Main(); }

inline std::string refusal(const char* module) {
  return std::string("elulayer.") + module +
         " must be imported in the main interpreter, not in a subinterpreter: it keeps what "
         "belongs "
         "to the whole process";
}

inline PyObject* refuse(const char* module) {
  PyErr_SetString(PyExc_ImportError, refusal(module).c_str());
  return nullptr;
}

}  // namespace elulayer::bindings

// As PYBIND11_MODULE, and refuses a subinterpreter: before pybind11's own code, which waits there
// for ever before CPython 3.12, and again in the module's, since from 3.13 on the first function
// runs in the main interpreter whoever imports.
#define ELULAYER_MODULE(name, variable)                                             \
  extern "C" PYBIND11_EXPORT PyObject* PyInit_##name##_in_main();                   \
  extern "C" PYBIND11_EXPORT PyObject* PyInit_##name();                             \
  extern "C" PYBIND11_EXPORT PyObject* PyInit_##name() {                            \
    namespace b = elulayer::bindings;                                               \
    return b::is_main_interpreter() ? PyInit_##name##_in_main() : b::refuse(#name); \
  }                                                                                 \
  static void define_##name(pybind11::module_& variable);                           \
  PYBIND11_MODULE(name##_in_main, variable, pybind11::mod_gil_not_used()) {         \
    if (!elulayer::bindings::is_main_interpreter()) {                               \
      throw pybind11::import_error(elulayer::bindings::refusal(#name));             \
    }                                                                               \
    define_##name(variable);                                                        \
  }                                                                                 \
  static void define_##name(pybind11::module_& variable)
