#include <algorithm>
#include <array>
#include <string>

#include "services/retriever/block_builder.h"
#include "services/retriever/character_references.h"
#include "services/retriever/text_extraction.h"

// The text of an HTML page, read in one pass over its tags. No tree is built, because a tree is what hostile
// pages attack: its depth, and the open elements that a parser looks through at every tag, grow with the
// page. Tags are recognised as the WHATWG HTML standard's tokenizer does (section 13.2.5); whatever is not
// closed ends with the page.

namespace conclave::retriever {
namespace {

/// A heading longer than this was never closed.
constexpr size_t kMaxOpenHeadingBytes = 8 * kMaxHeadingBytes;

constexpr auto kBlockNames = std::to_array<std::string_view>(
    {"address", "article", "aside",    "blockquote", "body", "caption",  "center",  "dd",         "details",
     "dialog",  "dir",     "div",      "dl",         "dt",   "fieldset", "figure",  "figcaption", "footer",
     "form",    "header",  "hgroup",   "hr",         "html", "legend",   "li",      "main",       "menu",
     "nav",     "ol",      "optgroup", "option",     "p",    "pre",      "section", "select",     "summary",
     "table",   "tbody",   "tfoot",    "thead",      "tr",   "ul"});
/// Elements whose content is no markup and no text of the page.
constexpr auto kDroppedNames =
    std::to_array<std::string_view>({"iframe", "noembed", "noframes", "script", "style", "xmp"});

template <size_t kCount>
bool Contains(const std::array<std::string_view, kCount>& names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

bool IsSpace(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f'; }
bool IsLetter(char c) { return (c | 0x20) >= 'a' && (c | 0x20) <= 'z'; }
char Lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c; }

/// 1 to 6 for "h1" to "h6", else 0.
size_t HeadingLevel(std::string_view name) {
  return name.size() == 2 && name[0] == 'h' && name[1] >= '1' && name[1] <= '6' ? name[1] - '0' : 0;
}

class HtmlReader {
 public:
  explicit HtmlReader(std::string_view page) : page_(page) {}

  std::vector<TextBlock> Read() {
    while (at_ < page_.size()) {
      if (page_[at_] == '<') {
        ReadMarkup();
      } else {
        const size_t end = std::min(page_.find('<', at_), page_.size());
        AddText(page_.substr(at_, end - at_));
        at_ = end;
      }
    }
    if (heading_level_ > 0) EndHeading();
    return builder_.Finish();
  }

 private:
  /// `at_` is at a '<'.
  void ReadMarkup() {
    const std::string_view rest = page_.substr(at_);
    const char next = rest.size() > 1 ? rest[1] : '\0';
    if (rest.starts_with("<!--")) return SkipComment();
    if (IsLetter(next)) return ReadTag(1);
    if (next == '/' && rest.size() > 2 && IsLetter(rest[2])) return ReadTag(2);
    if (next == '!' || next == '?' || (next == '/' && rest.size() > 2)) return SkipBehind(">", at_ + 2);
    AddText("<");
    ++at_;
  }

  void SkipBehind(std::string_view mark, size_t from) {
    const size_t found = page_.find(mark, from);
    at_ = found == std::string_view::npos ? page_.size() : found + mark.size();
  }

  void SkipComment() {
    // "<!-->" and "<!--->" are whole comments: the end may begin inside of the start.
    const std::string_view rest = page_.substr(at_);
    if (rest.starts_with("<!-->") || rest.starts_with("<!--->")) return SkipBehind(">", at_);
    for (size_t from = at_ + 4;; ++from) {
      from = page_.find("--", from);
      if (from == std::string_view::npos) {
        at_ = page_.size();
        return;
      }
      const std::string_view end = page_.substr(from + 2);
      if (end.starts_with('>') || end.starts_with("!>")) return SkipBehind(">", from);
    }
  }

  /// `offset`: where the name begins, behind "<" or "</".
  void ReadTag(size_t offset) {
    std::string name;
    for (at_ += offset; at_ < page_.size() && !IsSpace(page_[at_]) && page_[at_] != '/' && page_[at_] != '>';
         ++at_) {
      if (name.size() <= kMaxTagNameBytes) name += Lower(page_[at_]);
    }
    SkipAttributes();
    // A tag that the page's end cuts off is none.
    if (page_[at_ - 1] != '>') return;
    if (offset == 1) {
      StartElement(name);
    } else {
      EndElement(name);
    }
  }

  /// Moves behind the tag's '>', or to the end of the page. A '>' in quotes does not end a tag.
  void SkipAttributes() {
    while (at_ < page_.size()) {
      const char c = page_[at_++];
      if (c == '>') return;
      if (c != '=') continue;
      while (at_ < page_.size() && IsSpace(page_[at_])) ++at_;
      if (at_ < page_.size() && (page_[at_] == '"' || page_[at_] == '\'')) {
        SkipBehind(page_.substr(at_, 1), at_ + 1);
        if (at_ == page_.size()) return;
      } else {
        while (at_ < page_.size() && !IsSpace(page_[at_]) && page_[at_] != '>') ++at_;
      }
    }
  }

  /// The content of an element that holds no markup; `at_` moves to its end tag, or the end of the page.
  std::string_view TakeRawContent(std::string_view name) {
    const size_t begin = at_;
    for (;; ++at_) {
      at_ = std::min(page_.find("</", at_), page_.size());
      if (at_ == page_.size()) break;
      const std::string_view tag = page_.substr(at_ + 2, name.size() + 1);
      const bool ends =
          tag.size() > name.size() && (IsSpace(tag.back()) || tag.back() == '/' || tag.back() == '>');
      if (ends &&
          std::equal(name.begin(), name.end(), tag.begin(), [](char a, char b) { return a == Lower(b); })) {
        break;
      }
    }
    return page_.substr(begin, at_ - begin);
  }

  void StartElement(const std::string& name) {
    if (Contains(kDroppedNames, name)) {
      TakeRawContent(name);
    } else if (name == "title" || name == "textarea") {
      BreakParagraph();
      AddText(TakeRawContent(name));
      if (name == "title" && hidden_ == 0 && heading_level_ == 0)
        builder_.Heading(1, builder_.TakeParagraph());
    } else if (name == "template") {
      ++hidden_;
    } else if (const size_t level = HeadingLevel(name); level > 0) {
      if (heading_level_ > 0) EndHeading();
      builder_.EndParagraph();
      heading_level_ = level;
    } else if (name == "br") {
      if (heading_level_ == 0 && hidden_ == 0) builder_.Append("\n");
      builder_.AppendSpace();
    } else if (name == "td" || name == "th") {
      builder_.AppendSpace();
    } else if (Contains(kBlockNames, name)) {
      BreakParagraph();
      preformatted_ += name == "pre";
    }
  }

  void EndElement(const std::string& name) {
    if (name == "template") {
      hidden_ -= hidden_ > 0;
    } else if (HeadingLevel(name) > 0) {
      if (heading_level_ > 0) EndHeading();
    } else if (name == "td" || name == "th") {
      builder_.AppendSpace();
    } else if (name == "textarea" || Contains(kBlockNames, name)) {
      BreakParagraph();
      preformatted_ -= name == "pre" && preformatted_ > 0;
    }
  }

  void BreakParagraph() {
    if (heading_level_ > 0) {
      builder_.AppendSpace();
    } else {
      builder_.EndParagraph();
    }
  }

  void EndHeading() {
    builder_.Heading(heading_level_, builder_.TakeParagraph());
    heading_level_ = 0;
    heading_bytes_ = 0;
  }

  /// Character references are decoded; outside of <pre> every run of blanks is one space.
  void AddText(std::string_view text) {
    if (hidden_ > 0) return;
    std::string decoded;
    decoded.reserve(text.size());
    for (size_t i = 0; i < text.size();) {
      if (text[i] == '&') {
        i += DecodeCharacterReference(text.substr(i), decoded);
      } else if (preformatted_ == 0 && IsSpace(text[i])) {
        if (!decoded.empty() && decoded.back() != ' ') decoded += ' ';
        if (decoded.empty()) builder_.AppendSpace();
        ++i;
      } else {
        decoded += text[i++];
      }
    }
    builder_.Append(decoded);
    if (heading_level_ == 0) return;
    heading_bytes_ += decoded.size();
    if (heading_bytes_ > kMaxOpenHeadingBytes) {
      heading_level_ = 0;
      heading_bytes_ = 0;
    }
  }

  std::string_view page_;
  size_t at_ = 0;
  BlockBuilder builder_;
  size_t heading_level_ = 0;  // of the heading that is open; 0: none
  size_t heading_bytes_ = 0;
  size_t preformatted_ = 0;  // open <pre>
  size_t hidden_ = 0;        // open <template>
};

}  // namespace

std::vector<TextBlock> ExtractHtml(std::string_view text) { return HtmlReader(text).Read(); }

}  // namespace conclave::retriever
