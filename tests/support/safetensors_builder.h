#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "tests/support/gguf_builder.h"

namespace conclave::testing {

/// A .safetensors file from the text of its header and its data.
inline std::string Safetensors(const std::string& header, const std::string& data) {
  return GgufBuilder::Encoded(uint64_t{header.size()}) + header + data;
}

/// A well-formed file of F32 tensors, all zero, one after the other.
inline std::string SafetensorsOfZeros(
    const std::vector<std::pair<std::string, std::vector<int64_t>>>& tensors) {
  std::string header = "{";
  uint64_t offset = 0;
  for (const auto& [name, shape] : tensors) {
    uint64_t bytes = 4;
    std::string sizes;
    for (const int64_t size : shape) {
      bytes *= static_cast<uint64_t>(size);
      sizes += (sizes.empty() ? "" : ",") + std::to_string(size);
    }
    header += header.size() > 1 ? "," : "";
    header += "\"" + name + "\":{\"dtype\":\"F32\",\"shape\":[" + sizes + "],\"data_offsets\":[" +
              std::to_string(offset) + "," + std::to_string(offset + bytes) + "]}";
    offset += bytes;
  }
  header += "}";
  header.resize((header.size() + 7) / 8 * 8, ' ');
  return Safetensors(header, std::string(offset, '\0'));
}

}  // namespace conclave::testing
