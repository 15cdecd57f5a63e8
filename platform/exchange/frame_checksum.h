#pragma once

#include <cstdint>

#include "conclave/v1/experts.pb.h"

namespace conclave::platform {

/// XXH3 with 64 bits (https://github.com/Cyan4973/xxHash) of all that a frame says, its checksum aside:
/// seeded with that of its numbers, of the tensor's bytes. The numbers, as little-endian uint32: frame (low,
/// high), layer, type, count of dimensions and each, then for each expert its number, its count of rows and
/// each row. Never 0, which stands for a frame without one.
uint64_t FrameChecksum(const v1::ExchangeRequest& request);
/// The same of an answer; its numbers: frame (low, high), type, count of dimensions and each.
uint64_t FrameChecksum(const v1::ExchangeResponse& response);

}  // namespace conclave::platform
