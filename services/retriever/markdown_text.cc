#include <algorithm>
#include <optional>
#include <string>

#include "services/retriever/block_builder.h"
#include "services/retriever/text_extraction.h"

namespace conclave::retriever {
namespace {

/// A code fence: its character and length; length 0: none.
struct Fence {
  char mark = 0;
  size_t length = 0;
};

struct AtxHeading {
  size_t level;
  std::string_view title;
};

std::string_view Trim(std::string_view text) {
  const size_t begin = text.find_first_not_of(" \t\r\n");
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(" \t\r\n") - begin + 1);
}

/// Without its indentation of up to three spaces; nothing when it is indented deeper, which makes it code.
std::optional<std::string_view> Unindented(std::string_view line) {
  const size_t indent = std::min(line.find_first_not_of(' '), line.size());
  if (indent > 3) return std::nullopt;
  return line.substr(indent);
}

size_t RunLength(std::string_view text, char mark) {
  return std::min(text.find_first_not_of(mark), text.size());
}

Fence FenceOf(std::string_view line) {
  if (line.empty() || (line[0] != '`' && line[0] != '~')) return {};
  const size_t length = RunLength(line, line[0]);
  const bool inline_code = line[0] == '`' && line.find('`', length) != std::string_view::npos;
  if (length < 3 || inline_code) return {};
  return {line[0], length};
}

bool Closes(std::string_view line, const Fence& open) {
  const size_t length = RunLength(line, open.mark);
  return length >= open.length && Trim(line.substr(length)).empty();
}

std::optional<AtxHeading> AtxHeadingOf(std::string_view line) {
  const size_t level = RunLength(line, '#');
  if (level < 1 || level > 6) return std::nullopt;
  std::string_view rest = line.substr(level);
  if (!rest.empty() && std::string_view(" \t\r\n").find(rest[0]) == std::string_view::npos)
    return std::nullopt;
  std::string_view title = Trim(rest);
  const size_t last = title.find_last_not_of('#');
  if (last == std::string_view::npos) {
    title = {};
  } else if (last + 1 < title.size() && (title[last] == ' ' || title[last] == '\t')) {
    title = Trim(title.substr(0, last));
  }
  return AtxHeading{level, title};
}

/// 1 or 2 for a line of '=' or '-', else 0.
size_t UnderlineLevel(std::string_view line) {
  const std::string_view text = Trim(line);
  if (text.empty() || (text[0] != '=' && text[0] != '-')) return 0;
  if (RunLength(text, text[0]) != text.size()) return 0;
  return text[0] == '=' ? 1 : 2;
}

/// Reads line by line; knows only what decides whether a line is a heading.
class MarkdownReader {
 public:
  void ReadLine(std::string_view line) {
    const auto unindented = Unindented(line);
    if (open_.length > 0) {
      builder_.Append(line);
      if (unindented && Closes(*unindented, open_)) open_ = {};
      return;
    }
    if (Trim(line).empty()) {
      builder_.EndParagraph();
      lines_ = 0;
      return;
    }
    if (unindented && ReadMarked(*unindented)) return;
    builder_.Append(line);
    ++lines_;
  }

  std::vector<TextBlock> Finish() { return builder_.Finish(); }

 private:
  bool ReadMarked(std::string_view line) {
    if (const Fence fence = FenceOf(line); fence.length > 0) {
      open_ = fence;
      builder_.Append(line);
      lines_ = 0;
      return true;
    }
    if (const auto heading = AtxHeadingOf(line)) {
      builder_.Heading(heading->level, heading->title);
      lines_ = 0;
      return true;
    }
    // Only a one-line paragraph is taken for a title: "---" below a longer one is far more often a rule.
    const size_t level = lines_ == 1 ? UnderlineLevel(line) : 0;
    if (level == 0) return false;
    builder_.Heading(level, builder_.TakeParagraph());
    lines_ = 0;
    return true;
  }

  BlockBuilder builder_;
  Fence open_;
  size_t lines_ = 0;  // of the open paragraph
};

}  // namespace

std::vector<TextBlock> ExtractMarkdown(std::string_view text) {
  MarkdownReader reader;
  while (!text.empty()) {
    const size_t length = std::min(text.find('\n'), text.size() - 1) + 1;
    reader.ReadLine(text.substr(0, length));
    text.remove_prefix(length);
  }
  return reader.Finish();
}

}  // namespace conclave::retriever
