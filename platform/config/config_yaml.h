#pragma once

#include <filesystem>

#include "base/status.h"
#include "platform/config/config.h"

namespace conclave::platform {

/// Reads a YAML file into `config`: keys, kinds and ranges are checked, variables are not yet replaced.
/// Errors: NOT_FOUND, INVALID_ARGUMENT with "FILE:LINE: ".
Status ReadConfigFile(const std::filesystem::path& file, Config* config);

}  // namespace conclave::platform
