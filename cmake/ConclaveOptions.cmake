# Compiler settings that hold for every target, and the two helpers that every layer is built with.
set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "" FORCE)
endif()
set(CMAKE_CXX_FLAGS_RELEASE "-O3 -DNDEBUG")

option(CONCLAVE_BUILD_TESTS "Build the tests" ON)
option(CONCLAVE_LTO "Link-time optimisation of the engine and the program" OFF)
option(CONCLAVE_UNITY "Compile several files at once: sooner from nothing, later after a change" ON)
set(CONCLAVE_SANITIZER "" CACHE STRING "Sanitizers to compile with, for example address,undefined or thread")

# No fused multiply-add that the source does not write: every instruction set then gives the same bits.
add_compile_options(-Wall -Wextra -Wno-missing-field-initializers -Werror=return-type -ffp-contract=off)
if(CONCLAVE_SANITIZER)
  # A null reference does not end the program in the compiled code, but in the runtime (halt_on_error=1): only then
  # can tests/sanitizers/ubsan.txt except the one place in CAF that makes such a reference.
  add_compile_options(-fsanitize=${CONCLAVE_SANITIZER} -fno-omit-frame-pointer -fno-sanitize-recover=all
                      -fsanitize-recover=null)
  add_link_options(-fsanitize=${CONCLAVE_SANITIZER})
endif()

find_program(CONCLAVE_CCACHE ccache)
if(CONCLAVE_CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  set(CMAKE_CXX_COMPILER_LAUNCHER
      # CCACHE_DEPEND: what a file includes is asked of the compiler afterwards, instead of a preprocessor before.
      ${CMAKE_COMMAND} -E env CCACHE_DEPEND=1 CCACHE_SLOPPINESS=pch_defines,time_macros CCACHE_NOHASHDIR=1
      CCACHE_BASEDIR=${CMAKE_CURRENT_SOURCE_DIR}/.. ${CONCLAVE_CCACHE})
endif()
find_program(CONCLAVE_MOLD mold)
# Debian's mold 1.10 stops at an assertion on some objects that hold both machine code and GCC's LTO sections.
if(CONCLAVE_MOLD AND NOT CONCLAVE_LTO)
  add_link_options(-fuse-ld=mold)
endif()

# conclave_unity(TARGET): with CONCLAVE_UNITY, several of its files are one translation unit, so that what most of
# them instantiate from gRPC, protobuf and CAF is compiled once. Names in their unnamed namespaces must differ.
function(conclave_unity target)
  set_target_properties(${target} PROPERTIES UNITY_BUILD ${CONCLAVE_UNITY})
  if(CONCLAVE_UNITY)
    target_compile_options(${target} PRIVATE -Wno-subobject-linkage)  # it takes the .cc files for headers
  endif()
endfunction()

# conclave_library(NAME [DEPS ...]): the static library `NAME` from every .cc file below this folder.
function(conclave_library name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "DEPS")
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/*.cc)
  add_library(${name} STATIC ${sources})
  target_include_directories(${name} PUBLIC ${CMAKE_CURRENT_FUNCTION_LIST_DIR}/..)
  target_link_libraries(${name} PUBLIC ${arg_DEPS})
  if(CONCLAVE_LTO)
    target_compile_options(${name} PRIVATE -flto=auto -ffat-lto-objects)
  endif()
endfunction()

# conclave_service_library(NAME [DEPS ...]): a service; shares the platform's precompiled headers.
function(conclave_service_library name)
  conclave_library(${name} ${ARGN})
  target_precompile_headers(${name} REUSE_FROM conclave_platform)
  target_link_libraries(${name} PUBLIC conclave_platform)
  conclave_unity(${name})
endfunction()
