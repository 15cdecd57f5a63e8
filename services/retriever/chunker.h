#pragma once

#include <cstddef>
#include <vector>

#include "services/retriever/document.h"

namespace conclave::retriever {

/// How passages are cut. A word is what stands between blanks; a long one counts one for each twelve
/// characters, and a character of a script that writes no blanks (Chinese, Japanese, Thai) counts half.
struct ChunkerOptions {
  size_t target_words = 200;
  /// Repeated from the passage before where a paragraph had to be cut.
  size_t overlap_words = 30;
};

/// Cuts a document into passages: never across headings; at the end of a paragraph if one lies in the second
/// half of the passage, else at the end of a sentence there, else between words, and within a word only where
/// it is longer than a passage's room; never within a character (a grapheme cluster of up to 64 bytes).
/// Paragraphs of a passage are separated by an empty line. `blocks` as TextBlock promises; any thread.
std::vector<Chunk> ChunkBlocks(const std::vector<TextBlock>& blocks, const ChunkerOptions& options = {});

}  // namespace conclave::retriever
