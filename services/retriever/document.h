#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace conclave::retriever {

/// Whose documents, and which of them: the room that shares nothing with any other, statistics included.
struct CollectionId {
  std::string tenant;
  std::string name;

  friend bool operator==(const CollectionId&, const CollectionId&) = default;
  friend auto operator<=>(const CollectionId&, const CollectionId&) = default;
};

enum class DocumentFormat { kText, kMarkdown, kHtml };

/// A document as it came in, whole.
struct Document {
  CollectionId collection;
  std::string source;
  DocumentFormat format = DocumentFormat::kText;
  std::string content;
};

/// A paragraph: valid UTF-8, no control characters but '\n' and '\t', no blank at either end, never empty.
struct TextBlock {
  /// The headings above it, outermost first, joined by " > ".
  std::string heading;
  std::string text;
};

/// What a document says; when `skip_reason` is not empty it cannot be used, and there are no blocks.
struct ExtractedText {
  std::vector<TextBlock> blocks;
  std::string skip_reason;
};

/// A passage: what is found, and what goes into a prompt.
struct Chunk {
  std::string heading;
  std::string text;
};

/// How often each term occurs in a passage.
using TermCounts = std::map<std::string, uint32_t>;

/// A document ready to be stored.
struct PreparedDocument {
  struct Passage {
    Chunk chunk;
    TermCounts terms;
    /// The sum of the counts.
    uint32_t length = 0;
  };
  CollectionId collection;
  std::string source;
  std::vector<Passage> passages;
  uint64_t text_bytes = 0;
};

}  // namespace conclave::retriever
