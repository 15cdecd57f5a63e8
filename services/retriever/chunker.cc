#include "services/retriever/chunker.h"

#include <algorithm>
#include <string>
#include <utility>

#include "services/retriever/text_units.h"

namespace conclave::retriever {
namespace {

/// Cuts the paragraphs that share a heading.
class SectionCutter {
 public:
  SectionCutter(const ChunkerOptions& options, std::string heading, std::string text,
                std::vector<TextUnit> units)
      : target_(2 * std::max<size_t>(options.target_words, 1)),
        overlap_(2 * std::min(options.overlap_words, options.target_words / 2)),
        heading_(std::move(heading)),
        text_(std::move(text)),
        units_(std::move(units)) {}

  void Cut(std::vector<Chunk>& chunks) const {
    for (size_t first = 0; first < units_.size();) {
      const size_t last = LastUnit(first);
      const size_t begin = units_[first].begin;
      chunks.push_back({heading_, text_.substr(begin, units_[last].end - begin)});
      first = last + 1 == units_.size() ? last + 1 : NextStart(first, last);
    }
  }

 private:
  /// The last unit of the passage that begins with `first`.
  size_t LastUnit(size_t first) const {
    size_t half_words = 0, end = first;
    while (end < units_.size() && half_words + units_[end].half_words <= target_) {
      half_words += units_[end++].half_words;
    }
    if (end == units_.size()) return end - 1;
    if (end == first) return first;
    // The best place to cut in the second half, the last among equals.
    size_t best = end - 1;
    for (size_t unit = end - 1; unit > first && 2 * half_words > target_; --unit) {
      if (units_[unit].ends > units_[best].ends) best = unit;
      half_words -= units_[unit].half_words;
    }
    return best;
  }

  /// Where the passage behind [first, last] begins: some words earlier when a paragraph was cut.
  size_t NextStart(size_t first, size_t last) const {
    size_t start = last + 1;
    if (units_[last].ends == UnitEnd::kParagraph) return start;
    size_t half_words = 0;
    size_t sentence = start;
    while (start - 1 > first && units_[start - 1].ends != UnitEnd::kParagraph) {
      half_words += units_[start - 1].half_words;
      if (half_words > overlap_) break;
      --start;
      if (units_[start - 1].ends == UnitEnd::kSentence) sentence = start;
    }
    // A whole sentence is better than some words of it.
    return sentence <= last ? sentence : start;
  }

  size_t target_, overlap_;  // in half words
  std::string heading_;
  std::string text_;
  std::vector<TextUnit> units_;
};

}  // namespace

std::vector<Chunk> ChunkBlocks(const std::vector<TextBlock>& blocks, const ChunkerOptions& options) {
  std::vector<Chunk> chunks;
  for (size_t i = 0; i < blocks.size();) {
    const std::string& heading = blocks[i].heading;
    std::string text;
    std::vector<TextUnit> units;
    for (; i < blocks.size() && blocks[i].heading == heading; ++i) {
      if (!text.empty()) text += "\n\n";
      const size_t begin = text.size();
      text += blocks[i].text;
      AppendUnits(text, begin, text.size(), units);
    }
    SectionCutter(options, heading, std::move(text), std::move(units)).Cut(chunks);
  }
  return chunks;
}

}  // namespace conclave::retriever
