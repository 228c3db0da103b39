# Installs the headers, the static library and a package that find_package(elulayer) reads.
include(CMakePackageConfigHelpers)

set(package_dir "${CMAKE_INSTALL_LIBDIR}/cmake/elulayer")
install(DIRECTORY include/elulayer DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}" COMPONENT native)
install(TARGETS elulayer EXPORT elulayer-targets ARCHIVE DESTINATION "${CMAKE_INSTALL_LIBDIR}"
                                                         COMPONENT native)
install(EXPORT elulayer-targets NAMESPACE elulayer:: DESTINATION "${package_dir}"
        COMPONENT native)

configure_package_config_file(
  cmake/elulayer-config.cmake.in "${CMAKE_CURRENT_BINARY_DIR}/elulayer-config.cmake"
  INSTALL_DESTINATION "${package_dir}")
write_basic_package_version_file("${CMAKE_CURRENT_BINARY_DIR}/elulayer-config-version.cmake"
                                 COMPATIBILITY SameMinorVersion)
install(FILES "${CMAKE_CURRENT_BINARY_DIR}/elulayer-config.cmake"
              "${CMAKE_CURRENT_BINARY_DIR}/elulayer-config-version.cmake"
        DESTINATION "${package_dir}" COMPONENT native)
