#pragma once

#include <string_view>
#include <vector>

#include "services/retriever/document.h"

namespace conclave::retriever {

/// The format that a source's name says: .md and .markdown, .html, .htm and .xhtml (in any case); else text.
DocumentFormat FormatOf(std::string_view source);

/// What a file says, paragraph by paragraph. Linear in its size. Reasons to skip it: "empty" (no paragraph),
/// "not text" (DecodeText).
ExtractedText ExtractText(std::string_view content, DocumentFormat format);

/// Paragraphs are separated by blank lines. `text`: valid UTF-8, as for the others below.
std::vector<TextBlock> ExtractPlainText(std::string_view text);

/// Headings ("# ..." and underlined ones) become the path, everything else stays as it is written: a language
/// model reads Markdown well. Lines in fenced code are never headings. CommonMark 0.30,
/// sections 4.2, 4.3, 4.5.
std::vector<TextBlock> ExtractMarkdown(std::string_view text);

/// Text of an HTML page (see html_text.cc).
std::vector<TextBlock> ExtractHtml(std::string_view text);

}  // namespace conclave::retriever
