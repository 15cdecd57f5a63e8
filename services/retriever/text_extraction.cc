#include "services/retriever/text_extraction.h"

#include <algorithm>
#include <string>

#include "services/retriever/block_builder.h"
#include "services/retriever/text_decoding.h"

namespace conclave::retriever {
namespace {

bool IsBlankLine(std::string_view line) {
  return line.find_first_not_of(" \t\r\f\v") == std::string_view::npos;
}

/// The next line, its end included; `text` moves behind it.
std::string_view TakeLine(std::string_view& text) {
  const size_t end = std::min(text.find('\n'), text.size() - 1);
  const std::string_view line = text.substr(0, end + 1);
  text.remove_prefix(end + 1);
  return line;
}

std::string LowerAscii(std::string_view text) {
  std::string lower(text);
  for (char& c : lower) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  return lower;
}

}  // namespace

DocumentFormat FormatOf(std::string_view source) {
  const size_t dot = source.rfind('.');
  if (dot == std::string_view::npos) return DocumentFormat::kText;
  const std::string extension = LowerAscii(source.substr(dot + 1, 16));
  if (extension == "md" || extension == "markdown") return DocumentFormat::kMarkdown;
  if (extension == "html" || extension == "htm" || extension == "xhtml") return DocumentFormat::kHtml;
  return DocumentFormat::kText;
}

ExtractedText ExtractText(std::string_view content, DocumentFormat format) {
  ExtractedText extracted;
  const auto text = DecodeText(content);
  if (!text) {
    extracted.skip_reason = "not text";
    return extracted;
  }
  switch (format) {
    case DocumentFormat::kText: extracted.blocks = ExtractPlainText(*text); break;
    case DocumentFormat::kMarkdown: extracted.blocks = ExtractMarkdown(*text); break;
    case DocumentFormat::kHtml: extracted.blocks = ExtractHtml(*text); break;
  }
  if (extracted.blocks.empty()) extracted.skip_reason = "empty";
  return extracted;
}

std::vector<TextBlock> ExtractPlainText(std::string_view text) {
  BlockBuilder builder;
  while (!text.empty()) {
    const std::string_view line = TakeLine(text);
    if (IsBlankLine(line.substr(0, line.size() - line.ends_with('\n')))) {
      builder.EndParagraph();
    } else {
      builder.Append(line);
    }
  }
  return builder.Finish();
}

}  // namespace conclave::retriever
