#pragma once

#include <filesystem>

#include "base/status.h"

namespace conclave::platform {

/// Makes the folder and those above it where they are missing, and lets only its owner into it: it holds what
/// people wrote. Any thread may call. Errors: FAILED_PRECONDITION (it cannot be made, or is another user's).
Status MakePrivateFolder(const std::filesystem::path& folder);

}  // namespace conclave::platform
