#include "services/retriever/block_builder.h"

#include <algorithm>
#include <utility>

#include "base/utf8.h"
#include "services/retriever/text_units.h"

namespace conclave::retriever {
namespace {

/// A heading in one line, cut between two characters.
std::string CleanHeading(std::string_view title) {
  std::string text = CleanText(title);
  std::replace_if(text.begin(), text.end(), IsBlank, ' ');
  if (text.size() > kMaxHeadingBytes) {
    text.resize(kMaxHeadingBytes);
    text.resize(text.size() - IncompleteUtf8Suffix(text));
  }
  return text;
}

}  // namespace

std::string CleanText(std::string_view text) {
  std::string clean;
  clean.reserve(text.size());
  size_t blanks = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    char c = text[i];
    if (c == '\r') c = i + 1 < text.size() && text[i + 1] == '\n' ? '\0' : '\n';
    if (c == '\f' || c == '\v') c = '\n';
    if ((static_cast<unsigned char>(c) < 0x20 && !IsBlank(c)) || c == 0x7F) continue;
    // C1 control characters are 0xC2 0x80 to 0xC2 0x9F.
    if (c == '\xC2' && i + 1 < text.size() && static_cast<unsigned char>(text[i + 1]) < 0xA0) {
      ++i;
      continue;
    }
    blanks = IsBlank(c) ? blanks + 1 : 0;
    if (blanks > kMaxBlankRun || (blanks > 0 && clean.empty())) continue;
    clean += c;
  }
  while (!clean.empty() && IsBlank(clean.back())) clean.pop_back();
  return clean;
}

void BlockBuilder::AppendSpace() {
  if (!paragraph_.empty() && !IsBlank(paragraph_.back())) paragraph_ += ' ';
}

void BlockBuilder::EndParagraph() {
  std::string text = CleanText(paragraph_);
  paragraph_.clear();
  if (!text.empty()) blocks_.push_back({path_, std::move(text)});
}

void BlockBuilder::Heading(size_t level, std::string_view title) {
  EndParagraph();
  level = std::clamp<size_t>(level, 1, kMaxHeadingLevels);
  titles_[level - 1] = CleanHeading(title);
  std::fill(titles_.begin() + level, titles_.end(), std::string());
  path_.clear();
  for (const std::string& part : titles_) {
    if (part.empty()) continue;
    if (!path_.empty()) path_ += " > ";
    path_ += part;
  }
}

std::string BlockBuilder::TakeParagraph() { return std::exchange(paragraph_, {}); }

std::vector<TextBlock> BlockBuilder::Finish() {
  EndParagraph();
  return std::move(blocks_);
}

}  // namespace conclave::retriever
