#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"

namespace conclave::app {

/// "1,2,3" (spaces allowed) as token ids. Errors: INVALID_ARGUMENT naming the part that is no token id.
Result<std::vector<int32_t>> ParseTokenList(const std::string& text);

}  // namespace conclave::app
