# ELULAYER_WARNINGS: the warnings that the project's own C++ is compiled with.
set(ELULAYER_WARNINGS -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wsign-conversion
                      -Wold-style-cast)
if(ELULAYER_WERROR)
  list(APPEND ELULAYER_WARNINGS -Werror)
endif()
