#pragma once

#include <map>
#include <string>

#include "base/status.h"
#include "platform/config/config.h"

namespace conclave::platform {

/// Fills in home and data_dir, and replaces "~/" and the allowed variables in every path and address.
/// INVALID_ARGUMENT for any other variable, or when $HOME is needed but not set.
Status ExpandConfig(const std::map<std::string, std::string>& environment, Config* config);

/// What one key alone cannot show: doubles, contradictions, missing partners, malformed addresses.
Status CheckConfig(const Config& config);

}  // namespace conclave::platform
