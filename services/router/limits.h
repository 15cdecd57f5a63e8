#pragma once

#include <cstddef>
#include <cstdint>

#include "platform/rpc/limits.h"

namespace conclave::router {

inline constexpr size_t kMostMessages = 1024;
inline constexpr size_t kMostMessageBytes = 1 << 20;
inline constexpr size_t kMostChatBytes = 16 << 20;
inline constexpr size_t kMostPromptBytes = 16 << 20;
inline constexpr size_t kMostPromptTokens = 1 << 22;
inline constexpr size_t kMostStopTexts = 16;
inline constexpr size_t kMostStopBytes = 256;
inline constexpr size_t kMostIdBytes = 128;
inline constexpr size_t kMostModelNameBytes = 1024;
/// Answers to one prompt that a request may ask for.
inline constexpr uint32_t kMostAnswers = 16;
/// Beams of a search.
inline constexpr uint32_t kMostBeams = 16;
inline constexpr uint32_t kDefaultTopN = 3;
inline constexpr uint32_t kMostTopN = 20;
/// Messages that a stored conversation keeps: the oldest pairs go first.
inline constexpr size_t kMostSessionMessages = 1024;
inline constexpr size_t kMostSessionBytes = 8 << 20;
/// Tenants that do nothing now but were given more than others, and must wait for them when they come again.
inline constexpr int64_t kMostIdleTenants = 1024;
/// What a tokenizer may list of its vocabulary.
inline constexpr uint32_t kMostVocabularyTokens = 1 << 20;
inline constexpr size_t kMostVocabularyBytes = 256 << 20;
/// How soon a refused request may come again.
inline constexpr int64_t kRetryAfterMs = 1000;
/// The longest that a request may take when its client sets no deadline, in milliseconds.
inline constexpr int64_t kLongestRequestMs = 30 * 60 * 1000;
/// How long a service behind the router may take for one short call, in milliseconds.
inline constexpr int64_t kCallTimeoutMs = 30 * 1000;
/// How long an answer waits to be recorded; without a record it ends without a vote token, in milliseconds.
inline constexpr int64_t kRecordTimeoutMs = 3 * 1000;
/// Calls that are forwarded at once to one service behind the router: they share its connection with the
/// router's own calls, which must always find room on it.
inline constexpr int64_t kMostForwardedCalls = platform::kMaxCallsPerConnection / 2;
/// The longest that a forwarded stream may be open, in milliseconds: clients may keep one for their ratings.
inline constexpr int64_t kLongestForwardedStreamMs = 24 * 3600 * 1000;

static_assert(kMostMessageBytes <= kMostChatBytes);

}  // namespace conclave::router
