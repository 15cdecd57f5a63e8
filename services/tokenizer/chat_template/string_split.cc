#include <algorithm>

#include "services/tokenizer/chat_template/string_search.h"
#include "services/tokenizer/chat_template/text.h"

namespace conclave::tokenizer {
namespace {

using Pieces = std::vector<std::string_view>;

bool IsLineEnd(char32_t c) {
  return (c >= 0x0A && c <= 0x0D) || (c >= 0x1C && c <= 0x1E) || c == 0x85 || c == 0x2028 || c == 0x2029;
}

size_t BehindSpace(std::string_view text, size_t at) {
  while (at < text.size()) {
    size_t next = at;
    if (!IsSpace(DecodeCodePoint(text, next))) break;
    at = next;
  }
  return at;
}

size_t BehindWord(std::string_view text, size_t at) {
  while (at < text.size()) {
    size_t next = at;
    if (IsSpace(DecodeCodePoint(text, next))) break;
    at = next;
  }
  return at;
}

Pieces SplitWords(std::string_view text, int64_t limit) {
  Pieces pieces;
  size_t at = BehindSpace(text, 0);
  for (int64_t done = 0; at < text.size(); ++done) {
    if (limit >= 0 && done == limit) {
      pieces.push_back(text.substr(at));
      break;
    }
    const size_t end = BehindWord(text, at);
    pieces.push_back(text.substr(at, end - at));
    at = BehindSpace(text, end);
  }
  return pieces;
}

/// The words from the right; what is left over keeps its spaces in front.
Pieces RightSplitWords(std::string_view text, int64_t limit) {
  Pieces words = SplitWords(text, -1);
  if (limit < 0 || static_cast<int64_t>(words.size()) <= limit) return words;
  const size_t rest = words.size() - static_cast<size_t>(limit);
  const std::string_view last = words[rest - 1];
  const auto end = static_cast<size_t>(last.data() + last.size() - text.data());
  Pieces pieces = {text.substr(0, end)};
  pieces.insert(pieces.end(), words.begin() + static_cast<std::ptrdiff_t>(rest), words.end());
  return pieces;
}

Result<Pieces> SplitAt(Budget& budget, std::string_view text, std::string_view separator, int64_t limit) {
  Pieces pieces;
  size_t at = 0;
  for (int64_t done = 0; limit < 0 || done < limit; ++done) {
    const size_t found = FindText(text, separator, at);
    if (found == std::string_view::npos) break;
    CONCLAVE_RETURN_IF_ERROR(budget.Step());
    pieces.push_back(text.substr(at, found - at));
    at = found + separator.size();
  }
  pieces.push_back(text.substr(at));
  return pieces;
}

Result<Pieces> RightSplitAt(Budget& budget, std::string_view text, std::string_view separator,
                            int64_t limit) {
  Pieces pieces;
  for (int64_t done = 0; limit < 0 || done < limit; ++done) {
    CONCLAVE_ASSIGN_OR_RETURN(const size_t found, FindLast(budget, text, separator));
    if (found == std::string_view::npos) break;
    CONCLAVE_RETURN_IF_ERROR(budget.Step());
    pieces.push_back(text.substr(found + separator.size()));
    text = text.substr(0, found);
  }
  pieces.push_back(text);
  std::reverse(pieces.begin(), pieces.end());
  return pieces;
}

Result<Value> MakePieces(Budget& budget, const Pieces& pieces, bool markup) {
  std::vector<Value> items;
  items.reserve(pieces.size());
  for (const std::string_view piece : pieces) {
    CONCLAVE_ASSIGN_OR_RETURN(Value item, budget.Text(std::string(piece), markup));
    items.push_back(std::move(item));
  }
  return budget.List(std::move(items));
}

Result<Value> Split(Budget& budget, const Value& self, const Arguments& arguments, bool right) {
  CONCLAVE_ASSIGN_OR_RETURN(auto bound, Bind("split", arguments, {"sep", "maxsplit"}));
  CONCLAVE_ASSIGN_OR_RETURN(const int64_t limit, IntegerArgument("split", bound[1], -1));
  const std::string_view text = self.AsString();
  CONCLAVE_RETURN_IF_ERROR(budget.Bytes(text.size()));
  if (!bound[0] || bound[0]->IsNone()) {
    CONCLAVE_RETURN_IF_ERROR(budget.Bytes(text.size() * sizeof(std::string_view) / 2));
    return MakePieces(budget, right ? RightSplitWords(text, limit) : SplitWords(text, limit),
                      self.IsMarkup());
  }
  CONCLAVE_ASSIGN_OR_RETURN(const std::string_view separator, TextArgument("split", bound[0], ""));
  if (separator.empty()) return InvalidArgument("empty separator");
  CONCLAVE_ASSIGN_OR_RETURN(const Pieces pieces, right ? RightSplitAt(budget, text, separator, limit)
                                                       : SplitAt(budget, text, separator, limit));
  return MakePieces(budget, pieces, self.IsMarkup());
}

}  // namespace

std::vector<std::string_view> SplitLines(std::string_view text, bool keep_ends) {
  Pieces lines;
  for (size_t start = 0; start < text.size();) {
    size_t end = start;
    size_t next = start;
    while (end < text.size()) {
      const char32_t c = DecodeCodePoint(text, next);
      if (IsLineEnd(c)) {
        if (c == '\r' && next < text.size() && text[next] == '\n') ++next;
        break;
      }
      end = next;
    }
    lines.push_back(text.substr(start, (keep_ends ? next : end) - start));
    start = next;
  }
  return lines;
}

Result<Value> SplitMethod(Budget& budget, const Value& self, const Arguments& arguments) {
  return Split(budget, self, arguments, false);
}

Result<Value> RightSplitMethod(Budget& budget, const Value& self, const Arguments& arguments) {
  return Split(budget, self, arguments, true);
}

Result<Value> SplitLinesMethod(Budget& budget, const Value& self, const Arguments& arguments) {
  CONCLAVE_ASSIGN_OR_RETURN(auto bound, Bind("splitlines", arguments, {"keepends"}));
  CONCLAVE_ASSIGN_OR_RETURN(const int64_t keep_ends, IntegerArgument("splitlines", bound[0], 0));
  CONCLAVE_RETURN_IF_ERROR(budget.Bytes(self.AsString().size() * sizeof(std::string_view)));
  return MakePieces(budget, SplitLines(self.AsString(), keep_ends != 0), self.IsMarkup());
}

}  // namespace conclave::tokenizer
