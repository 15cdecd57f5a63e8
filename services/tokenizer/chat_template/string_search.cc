#include "services/tokenizer/chat_template/string_search.h"

#include <algorithm>
#include <cstring>

#include "services/tokenizer/chat_template/text.h"

namespace conclave::tokenizer {
namespace {

constexpr size_t kNone = std::string_view::npos;

int64_t Clip(int64_t bound, int64_t length) {
  if (bound < 0) return std::max<int64_t>(bound + length, 0);
  return std::min(bound, length);
}

/// The position as a number of characters, or -1.
Result<int64_t> Locate(Budget& budget, std::string_view method, const Value& self, const Arguments& arguments,
                       bool last) {
  CONCLAVE_ASSIGN_OR_RETURN(auto bound, Bind(method, arguments, {"", "", ""}, 1));
  CONCLAVE_ASSIGN_OR_RETURN(const std::string_view wanted, TextArgument(method, bound[0], ""));
  CONCLAVE_ASSIGN_OR_RETURN(const TextWindow window, MakeWindow(budget, method, self, bound[1], bound[2]));
  if (!window.valid) return -1;
  CONCLAVE_RETURN_IF_ERROR(budget.Text(window.text.size()));
  size_t at = 0;
  if (last) {
    CONCLAVE_ASSIGN_OR_RETURN(at, FindLast(budget, window.text, wanted));
  } else {
    at = FindText(window.text, wanted, 0);
  }
  if (at == kNone) return -1;
  return static_cast<int64_t>(window.first + CountCodePoints(window.text.substr(0, at)));
}

Result<Value> LocateOrFail(Budget& budget, std::string_view method, const Value& self,
                           const Arguments& arguments, bool last) {
  CONCLAVE_ASSIGN_OR_RETURN(const int64_t at, Locate(budget, method, self, arguments, last));
  return at >= 0 ? Result<Value>(Value::Int(at)) : InvalidArgument("substring not found");
}

}  // namespace

Result<TextWindow> MakeWindow(Budget& budget, std::string_view method, const Value& text,
                              const std::optional<Value>& start, const std::optional<Value>& end) {
  const StringData& data = text.AsStringData();
  TextWindow window{data.bytes, 0, true};
  const auto given = [](const std::optional<Value>& value) { return value && !value->IsNone(); };
  if (!given(start) && !given(end)) return window;
  CONCLAVE_RETURN_IF_ERROR(budget.Text(data.IsAscii() ? 0 : 2 * data.bytes.size()));
  const auto length = static_cast<int64_t>(data.code_points);
  CONCLAVE_ASSIGN_OR_RETURN(int64_t first, IntegerArgument(method, given(start) ? start : std::nullopt, 0));
  CONCLAVE_ASSIGN_OR_RETURN(int64_t last, IntegerArgument(method, given(end) ? end : std::nullopt, length));
  window.valid = first <= length;
  first = Clip(first, length);
  last = Clip(last, length);
  if (first > last) window.valid = false;
  const size_t begin = ByteOffset(data, static_cast<size_t>(first));
  const size_t behind = std::max(begin, ByteOffset(data, static_cast<size_t>(last)));
  window.text = std::string_view(data.bytes).substr(begin, behind - begin);
  window.first = static_cast<size_t>(first);
  return window;
}

size_t FindText(std::string_view text, std::string_view wanted, size_t from) {
  if (from > text.size()) return kNone;
  if (wanted.empty()) return from;
  // memmem takes linear time, whatever the texts.
  const void* found = memmem(text.data() + from, text.size() - from, wanted.data(), wanted.size());
  return found == nullptr ? kNone : static_cast<size_t>(static_cast<const char*>(found) - text.data());
}

Result<size_t> FindLast(Budget& budget, std::string_view text, std::string_view wanted) {
  if (wanted.empty()) return text.size();
  if (wanted.size() > text.size()) return kNone;
  for (size_t at = text.size() - wanted.size() + 1; at-- > 0;) {
    if (text[at] != wanted[0]) continue;
    CONCLAVE_RETURN_IF_ERROR(budget.Text(wanted.size()));
    if (text.substr(at, wanted.size()) == wanted) return at;
  }
  return kNone;
}

Result<std::string> ReplaceAll(Budget& budget, std::string_view text, std::string_view old,
                               std::string_view replacement, int64_t count) {
  CONCLAVE_RETURN_IF_ERROR(budget.Bytes(text.size()));
  std::string out;
  size_t at = 0;
  for (int64_t done = 0; count < 0 || done < count; ++done) {
    const size_t found = FindText(text, old, at);
    if (found == kNone) break;
    CONCLAVE_RETURN_IF_ERROR(budget.Step());
    CONCLAVE_RETURN_IF_ERROR(budget.Bytes(replacement.size()));
    out += text.substr(at, found - at);
    out += replacement;
    at = found + old.size();
    if (!old.empty()) continue;
    if (at >= text.size()) return out;
    const size_t start = at;
    DecodeCodePoint(text, at);
    out += text.substr(start, at - start);
  }
  out += text.substr(at);
  return out;
}

Result<Value> PartitionMethod(Budget& budget, const Value& self, const Arguments& arguments) {
  CONCLAVE_ASSIGN_OR_RETURN(auto bound, Bind("partition", arguments, {""}, 1));
  CONCLAVE_ASSIGN_OR_RETURN(const std::string_view wanted, TextArgument("partition", bound[0], ""));
  if (wanted.empty()) return InvalidArgument("empty separator");
  const std::string_view text = self.AsString();
  CONCLAVE_RETURN_IF_ERROR(budget.Bytes(text.size()));
  const size_t at = FindText(text, wanted, 0);
  const auto part = [&](std::string_view piece) {
    return self.IsMarkup() ? Value::Markup(std::string(piece)) : Value::String(std::string(piece));
  };
  if (at == kNone) return budget.Tuple({part(text), part(""), part("")});
  return budget.Tuple({part(text.substr(0, at)), part(wanted), part(text.substr(at + wanted.size()))});
}

Result<Value> RightPartitionMethod(Budget& budget, const Value& self, const Arguments& arguments) {
  CONCLAVE_ASSIGN_OR_RETURN(auto bound, Bind("rpartition", arguments, {""}, 1));
  CONCLAVE_ASSIGN_OR_RETURN(const std::string_view wanted, TextArgument("rpartition", bound[0], ""));
  if (wanted.empty()) return InvalidArgument("empty separator");
  const std::string_view text = self.AsString();
  CONCLAVE_RETURN_IF_ERROR(budget.Bytes(text.size()));
  CONCLAVE_ASSIGN_OR_RETURN(const size_t at, FindLast(budget, text, wanted));
  const auto part = [&](std::string_view piece) {
    return self.IsMarkup() ? Value::Markup(std::string(piece)) : Value::String(std::string(piece));
  };
  if (at == kNone) return budget.Tuple({part(""), part(""), part(text)});
  return budget.Tuple({part(text.substr(0, at)), part(wanted), part(text.substr(at + wanted.size()))});
}

Result<Value> FindMethodOfText(Budget& budget, const Value& self, const Arguments& arguments) {
  CONCLAVE_ASSIGN_OR_RETURN(const int64_t at, Locate(budget, "find", self, arguments, false));
  return Value::Int(at);
}

Result<Value> RightFindMethod(Budget& budget, const Value& self, const Arguments& arguments) {
  CONCLAVE_ASSIGN_OR_RETURN(const int64_t at, Locate(budget, "rfind", self, arguments, true));
  return Value::Int(at);
}

Result<Value> IndexMethod(Budget& budget, const Value& self, const Arguments& arguments) {
  return LocateOrFail(budget, "index", self, arguments, false);
}

Result<Value> RightIndexMethod(Budget& budget, const Value& self, const Arguments& arguments) {
  return LocateOrFail(budget, "rindex", self, arguments, true);
}

Result<Value> CountMethod(Budget& budget, const Value& self, const Arguments& arguments) {
  CONCLAVE_ASSIGN_OR_RETURN(auto bound, Bind("count", arguments, {"", "", ""}, 1));
  CONCLAVE_ASSIGN_OR_RETURN(const std::string_view wanted, TextArgument("count", bound[0], ""));
  CONCLAVE_ASSIGN_OR_RETURN(const TextWindow window, MakeWindow(budget, "count", self, bound[1], bound[2]));
  if (!window.valid) return Value::Int(0);
  const std::string_view text = window.text;
  CONCLAVE_RETURN_IF_ERROR(budget.Text(text.size()));
  if (wanted.empty()) return Value::Int(static_cast<int64_t>(CountCodePoints(text)) + 1);
  int64_t count = 0;
  for (size_t at = FindText(text, wanted, 0); at != kNone; ++count) {
    CONCLAVE_RETURN_IF_ERROR(budget.Step());
    at = FindText(text, wanted, at + wanted.size());
  }
  return Value::Int(count);
}

}  // namespace conclave::tokenizer
