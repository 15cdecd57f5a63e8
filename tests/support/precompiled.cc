// Nothing but the headers that tests/CMakeLists.txt precompiles for the others.
