#pragma once

#include <optional>

#include "engine/model/transformer.h"
#include "platform/config/config.h"

namespace conclave::decoder {

/// In what format a configuration wants keys and values; none: the model's own.
inline std::optional<engine::KvFormat> KvFormatOf(const platform::Config& config) {
  if (config.limits.kv_type == platform::KvType::kInt8) return engine::KvFormat::kInt8;
  return std::nullopt;
}

}  // namespace conclave::decoder
