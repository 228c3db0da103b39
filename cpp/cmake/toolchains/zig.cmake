# clang with libc++ for many systems, of PyPI's package ziglang. ELULAYER_CROSS is its name of one
# (aarch64-macos, x86_64-linux-musl, x86_64-windows-gnu), ELULAYER_EMULATOR the command, if there is
# one, that runs its programs.
list(APPEND CMAKE_TRY_COMPILE_PLATFORM_VARIABLES ELULAYER_CROSS ELULAYER_EMULATOR)

string(REGEX MATCH "^[^-]+" CMAKE_SYSTEM_PROCESSOR "${ELULAYER_CROSS}")
if(ELULAYER_CROSS MATCHES "macos")
  set(CMAKE_SYSTEM_NAME Darwin)
elseif(ELULAYER_CROSS MATCHES "windows")
  set(CMAKE_SYSTEM_NAME Windows)
else()
  set(CMAKE_SYSTEM_NAME Linux)
endif()
set(CMAKE_CXX_COMPILER "${CMAKE_CURRENT_LIST_DIR}/zig-c++" -target ${ELULAYER_CROSS})
set(CMAKE_CXX_ARCHIVE_CREATE "python-zig ar qc <TARGET> <OBJECTS>")
set(CMAKE_CXX_ARCHIVE_APPEND "python-zig ar q <TARGET> <OBJECTS>")
set(CMAKE_CXX_ARCHIVE_FINISH "python-zig ranlib <TARGET>")
set(CMAKE_CROSSCOMPILING_EMULATOR "${ELULAYER_EMULATOR}")
set(CMAKE_FIND_ROOT_PATH "/nonexistent")
