#pragma once

#include <cstddef>
#include <cstdint>

namespace conclave::feedback {

// Every limit of the feedback service. The ones that a client can meet are in
// proto/conclave/v1/feedback.proto too.

inline constexpr size_t kMaxIdBytes = 128;
inline constexpr size_t kMaxCommentBytes = size_t{16} << 10;
inline constexpr size_t kMaxCorrectionBytes = size_t{1} << 20;
inline constexpr size_t kMaxRecordBytes = size_t{32} << 20;
inline constexpr size_t kMaxMessages = 4096;
inline constexpr size_t kMaxSources = 1024;
inline constexpr uint32_t kMinStars = 1;
inline constexpr uint32_t kMaxStars = 5;

/// The length of a vote token's text; a longer one is refused before any of it is decoded.
inline constexpr size_t kMaxVoteTokenBytes = 1024;
inline constexpr size_t kSigningKeyBytes = 32;
inline constexpr size_t kNonceBytes = 16;

/// What may wait for the disk, in changes and in bytes; what is more gets RESOURCE_EXHAUSTED.
inline constexpr size_t kMaxPendingChanges = 4096;
inline constexpr size_t kMaxPendingBytes = size_t{128} << 20;
/// What one synchronous write may hold.
inline constexpr size_t kMaxGroupChanges = 1024;
inline constexpr size_t kMaxGroupBytes = size_t{64} << 20;
/// What a refused caller is told to wait: about ten synchronous writes of a slow disk.
inline constexpr int64_t kRetryAfterMs = 100;

/// How long an answer may be rated: thirty days.
inline constexpr int64_t kVoteTokenLifetimeMs = int64_t{30} * 24 * 3600 * 1000;

/// Ratings of one RateStream that may be unanswered; the stream is not read while there are as many.
inline constexpr size_t kMaxStreamInFlight = 64;
/// Exports that may run at once: each holds a snapshot of the store and a thread.
inline constexpr size_t kMaxExports = 8;
inline constexpr int64_t kExportRetryAfterMs = 5000;
/// Places in the order of ratings that an export reads ahead.
inline constexpr size_t kExportPageRatings = 256;

static_assert(kMaxGroupChanges <= kMaxPendingChanges && kMaxGroupBytes <= kMaxPendingBytes);
static_assert(kMaxRecordBytes <= kMaxGroupBytes, "the largest answer must fit into a group");
static_assert(kMaxStreamInFlight < kMaxPendingChanges, "one stream must not fill the queue");

}  // namespace conclave::feedback
