#pragma once

#include <string>

#include "base/result.h"

namespace conclave::app {

/// A file's bytes; "-" reads standard input. Errors: NOT_FOUND, INVALID_ARGUMENT (a folder, or over 1 GiB).
Result<std::string> ReadWholeFile(const std::string& path);

}  // namespace conclave::app
