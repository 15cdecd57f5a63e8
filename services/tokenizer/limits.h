#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>

namespace conclave::tokenizer {

/// The longest text that one Encode call takes (proto: EncodeRequest.text).
inline constexpr size_t kMaxTextBytes = 16u << 20;
/// The most token ids that one part of a Decode message takes (proto: DecodeRequest.token_ids).
inline constexpr size_t kMaxDecodeTokens = 1u << 20;
/// Further parts that one Decode message may hold (proto: DecodeRequest.more).
inline constexpr size_t kMaxDecodeParts = 1u << 16;
/// A page of ListTokens ends at so many tokens, and with the token that reaches so many bytes.
inline constexpr size_t kMaxListedTokens = 1u << 16;
inline constexpr size_t kMaxListedBytes = 1u << 20;
/// Sequences that one Decode stream may hold open.
inline constexpr size_t kMaxOpenSequences = 4096;
/// Messages of one chat, and the bytes of one (proto: ChatMessage.content).
inline constexpr size_t kMaxChatMessages = 4096;
inline constexpr size_t kMaxMessageBytes = 1u << 20;
/// Texts beyond this leave the thread that received them (this many bytes take a few milliseconds at most);
/// texts that wait for their turn then; and what a refused caller is told to wait.
inline constexpr size_t kInlineTextBytes = 64u << 10;
inline constexpr size_t kMaxQueuedTextBytes = 128u << 20;
inline constexpr int64_t kQueueFullRetryMs = 500;

/// What a vocabulary may declare. The largest published byte-level vocabularies have about 260,000 tokens,
/// 450,000 merges and no token over 256 bytes.
inline constexpr size_t kMaxVocabularyTokens = 1u << 20;
inline constexpr size_t kMaxMerges = 1u << 22;
inline constexpr size_t kMaxTokenBytes = 2048;
inline constexpr size_t kMaxEndTokens = 64;
/// tokenizer.json and its companions.
inline constexpr size_t kMaxTokenizerJsonBytes = 256u << 20;
inline constexpr size_t kMaxChatTemplateBytes = 1u << 20;

/// Pieces up to this length are merged by looking at every pair each time; longer ones with a heap.
inline constexpr size_t kShortPieceSymbols = 24;
/// A longer piece needs so much working memory (about 28 bytes for each of its bytes) that one at a time is
/// merged.
inline constexpr size_t kLargePieceBytes = 1u << 20;
/// Combining marks in a row: canonical ordering takes quadratic time in them.
inline constexpr size_t kMaxCombiningMarks = 1024;

/// Piece cache: entries (of 64 bytes) for each encoder that runs, and encoders kept for reuse.
inline constexpr size_t kPieceCacheEntries = 1u << 14;
inline constexpr size_t kMaxIdleEncoders = 8;

static_assert((kPieceCacheEntries & (kPieceCacheEntries - 1)) == 0);
static_assert(kMaxQueuedTextBytes >= kMaxTextBytes, "every text that is allowed can wait");
static_assert(kMaxTextBytes <= std::numeric_limits<int32_t>::max() / 2, "positions are 32-bit");
static_assert(kMaxMerges <= std::numeric_limits<uint32_t>::max(), "ranks are 32-bit");

}  // namespace conclave::tokenizer
