#pragma once

#include <cstddef>
#include <cstdint>

namespace conclave::retriever {

// Every limit of the retriever service. The ones that a client can meet are in
// proto/conclave/v1/retriever.proto too.

inline constexpr size_t kMaxCollectionNameBytes = 64;
inline constexpr size_t kMaxTenantBytes = 64;
inline constexpr size_t kMaxSourceBytes = 4096;
inline constexpr size_t kMaxQueryBytes = size_t{16} << 10;
inline constexpr uint32_t kMaxTopN = 1000;
inline constexpr uint32_t kDefaultTopN = 5;
/// The passages of one answer together: it must fit into one message.
inline constexpr size_t kMaxAnswerBytes = size_t{16} << 20;

inline constexpr size_t kMaxDocumentBytes = size_t{64} << 20;
inline constexpr size_t kMaxDocumentChunks = size_t{1} << 16;
/// Different terms of one document: each is a place of its own in the index.
inline constexpr size_t kMaxDocumentTerms = size_t{1} << 20;
/// What a search remembers grows with the passages it meets: 24 MiB for this many.
inline constexpr uint64_t kMaxCollectionChunks = uint64_t{1} << 20;
inline constexpr size_t kMaxCollectionsPerTenant = 10'000;

/// Levels of a heading path that are kept, and bytes of one heading.
inline constexpr size_t kMaxHeadingLevels = 6;
inline constexpr size_t kMaxHeadingBytes = 256;
/// The longest run of blanks that a passage keeps.
inline constexpr size_t kMaxBlankRun = 32;
/// An HTML tag whose name is longer is no known one.
inline constexpr size_t kMaxTagNameBytes = 32;

/// A term is cut, between two characters, at so many bytes.
inline constexpr size_t kMaxTermBytes = 64;

/// Streams that ingest at once; the documents that they hold, in bytes, together.
inline constexpr size_t kMaxIngestStreams = 32;
inline constexpr size_t kMaxPendingBytes = size_t{512} << 20;
/// A stream is not read while it has so many unacknowledged documents or bytes of them.
inline constexpr size_t kMaxStreamDocuments = 64;
/// Skipped documents that a stream's progress names.
inline constexpr size_t kMaxNamedSkipped = 20;
inline constexpr size_t kMaxStreamBytes = size_t{4} << 20;
/// What one synchronous write may hold; a larger document is written alone.
inline constexpr size_t kMaxGroupDocuments = 64;
inline constexpr size_t kMaxGroupBytes = size_t{8} << 20;

/// Searches and listings that wait; deletions that wait.
inline constexpr size_t kMaxPendingSearches = 256;
inline constexpr size_t kMaxPendingDeletes = 64;
inline constexpr size_t kSearchThreads = 2;
/// What a refused caller is told to wait.
inline constexpr int64_t kRetryAfterMs = 200;

static_assert(kMaxStreamDocuments <= kMaxGroupDocuments, "one stream's documents fit into one write");
static_assert(kMaxPendingBytes >= 2 * kMaxDocumentBytes, "the largest document must be able to come in");
static_assert(kDefaultTopN <= kMaxTopN);

}  // namespace conclave::retriever
