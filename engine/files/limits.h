#pragma once

#include <cstdint>

namespace conclave::engine {

/// What a model file may hold. Beyond these a file is refused before anything is allocated for it; below them
/// a reader still allocates only in proportion to the bytes that the file really has.
inline constexpr uint64_t kMaxModelFileBytes = uint64_t{1} << 46;  // 64 TiB
inline constexpr uint64_t kMaxTensors = 65'536;
inline constexpr int kMaxTensorRank = 4;
inline constexpr uint64_t kMaxTensorNameBytes = 1'024;

// GGUF.
inline constexpr uint64_t kMaxMetadataPairs = 65'536;
inline constexpr uint64_t kMaxMetadataKeyBytes = 65'535;  // The format's own limit.
inline constexpr uint64_t kMaxMetadataStringBytes = 64 << 20;
inline constexpr uint64_t kMaxMetadataArrayElements = 16 << 20;
inline constexpr uint64_t kMaxGgufAlignment = 1 << 20;

// safetensors and the JSON files beside it.
inline constexpr uint64_t kMaxSafetensorsHeaderBytes = 16 << 20;
inline constexpr uint64_t kMaxConfigBytes = 4 << 20;
inline constexpr uint64_t kMaxShardIndexBytes = 16 << 20;
inline constexpr uint64_t kMaxShards = 1'024;
inline constexpr int kMaxJsonDepth = 16;

static_assert(kMaxModelFileBytes <= INT64_MAX, "sizes inside a file fit TensorView::bytes");
static_assert(kMaxSafetensorsHeaderBytes / kMaxTensors >= 128, "a full header has room for its entries");

}  // namespace conclave::engine
