#pragma once

#include <array>
#include <string>
#include <string_view>
#include <vector>

#include "services/retriever/document.h"
#include "services/retriever/limits.h"

namespace conclave::retriever {

/// Collects paragraphs under a path of headings. Text may be valid UTF-8 of any kind: control characters are
/// dropped, runs of blanks are cut at kMaxBlankRun, blanks at either end go.
class BlockBuilder {
 public:
  /// Adds to the paragraph that is open.
  void Append(std::string_view text) { paragraph_.append(text); }

  /// Adds a space, unless the open paragraph is empty or ends in one.
  void AppendSpace();

  /// Ends the paragraph; an empty one leaves nothing.
  void EndParagraph();

  /// Ends the paragraph; what follows stands under this heading. `level`: 1 to kMaxHeadingLevels. An empty
  /// heading only closes the deeper ones.
  void Heading(size_t level, std::string_view title);

  /// The open paragraph's text, taken out: for a heading's title.
  std::string TakeParagraph();

  std::vector<TextBlock> Finish();

 private:
  std::string paragraph_;
  std::array<std::string, kMaxHeadingLevels> titles_;
  std::string path_;
  std::vector<TextBlock> blocks_;
};

/// `text` as a TextBlock promises it.
std::string CleanText(std::string_view text);

}  // namespace conclave::retriever
