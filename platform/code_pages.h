#pragma once

#include <cstdint>

namespace conclave::platform {

/// Lets go of the pages of code and constants, the program's and its libraries', that are in this process'
/// memory; for the end of a start, which needs far more of them than what follows. They stay in the system's
/// page cache, from where what is used comes back at once. Any thread; others may run meanwhile. Returns how
/// many bytes of address space it went over. Elsewhere than on Linux it does nothing.
int64_t DropCodePages();

}  // namespace conclave::platform
