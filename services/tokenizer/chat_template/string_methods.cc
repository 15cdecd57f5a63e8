#include <unordered_map>

#include <unicode/uchar.h>

#include "services/tokenizer/chat_template/budget.h"
#include "services/tokenizer/chat_template/format.h"
#include "services/tokenizer/chat_template/iteration.h"
#include "services/tokenizer/chat_template/methods.h"
#include "services/tokenizer/chat_template/string_search.h"
#include "services/tokenizer/chat_template/text.h"
#include "services/tokenizer/chat_template/to_text.h"
#include "services/tokenizer/chat_template/type_names.h"

namespace conclave::tokenizer {
namespace {

template <bool kLeft, bool kRight>
Result<Value> StripMethod(Budget& budget, const Value& self, const Arguments& arguments) {
  CONCLAVE_ASSIGN_OR_RETURN(auto bound, Bind("strip", arguments, {""}));
  std::optional<std::string_view> chars;
  if (bound[0] && !bound[0]->IsNone()) {
    CONCLAVE_ASSIGN_OR_RETURN(chars, TextArgument("strip", bound[0], ""));
    CONCLAVE_RETURN_IF_ERROR(budget.Step(static_cast<int64_t>(self.AsString().size() * chars->size() / 256)));
  }
  return budget.Text(std::string(Strip(self.AsString(), chars, kLeft, kRight)), self.IsMarkup());
}

template <std::string (*kMap)(std::string_view)>
Result<Value> CaseMethod(Budget& budget, const Value& self, const Arguments& arguments) {
  CONCLAVE_RETURN_IF_ERROR(Bind("the method", arguments, {}).status());
  CONCLAVE_RETURN_IF_ERROR(budget.Bytes(self.AsString().size()));
  return budget.Text(kMap(self.AsString()), self.IsMarkup());
}

/// Whether all characters satisfy `kTest`, and there is one.
template <bool (*kTest)(char32_t)>
Result<Value> EachMethod(Budget& budget, const Value& self, const Arguments& arguments) {
  CONCLAVE_RETURN_IF_ERROR(Bind("the method", arguments, {}).status());
  const std::string_view text = self.AsString();
  CONCLAVE_RETURN_IF_ERROR(budget.Text(text.size()));
  for (size_t at = 0; at < text.size();) {
    if (!kTest(DecodeCodePoint(text, at))) return Value::Bool(false);
  }
  return Value::Bool(!text.empty());
}

int NumericType(char32_t c) { return u_getIntPropertyValue(static_cast<UChar32>(c), UCHAR_NUMERIC_TYPE); }
bool IsAlpha(char32_t c) { return u_isalpha(static_cast<UChar32>(c)); }
bool IsDecimal(char32_t c) { return NumericType(c) == U_NT_DECIMAL; }
bool IsDigit(char32_t c) { return NumericType(c) == U_NT_DECIMAL || NumericType(c) == U_NT_DIGIT; }
bool IsNumeric(char32_t c) { return NumericType(c) != U_NT_NONE; }
bool IsAlnum(char32_t c) { return IsAlpha(c) || IsNumeric(c); }

Result<Value> IsAscii(Budget&, const Value& self, const Arguments& arguments) {
  CONCLAVE_RETURN_IF_ERROR(Bind("isascii", arguments, {}).status());
  return Value::Bool(self.AsStringData().IsAscii());
}

template <bool kUpper>
Result<Value> IsCaseMethod(Budget& budget, const Value& self, const Arguments& arguments) {
  CONCLAVE_RETURN_IF_ERROR(Bind("the method", arguments, {}).status());
  CONCLAVE_RETURN_IF_ERROR(budget.Text(self.AsString().size()));
  return Value::Bool(IsAllCase(self.AsString(), kUpper));
}

/// str.startswith and str.endswith.
template <bool kEnd>
Result<Value> AffixMethod(Budget& budget, const Value& self, const Arguments& arguments) {
  constexpr std::string_view kName = kEnd ? "endswith" : "startswith";
  CONCLAVE_ASSIGN_OR_RETURN(auto bound, Bind(kName, arguments, {"", "", ""}, 1));
  CONCLAVE_ASSIGN_OR_RETURN(const TextWindow window, MakeWindow(budget, kName, self, bound[1], bound[2]));
  const auto matches = [&](std::string_view affix) {
    if (!window.valid) return false;
    return kEnd ? window.text.ends_with(affix) : window.text.starts_with(affix);
  };
  if (!bound[0]->IsTuple()) {
    CONCLAVE_ASSIGN_OR_RETURN(const std::string_view affix, TextArgument(kName, bound[0], ""));
    CONCLAVE_RETURN_IF_ERROR(budget.Text(affix.size()));
    return Value::Bool(matches(affix));
  }
  for (const Value& affix : bound[0]->Items()) {
    if (!affix.IsString())
      return InvalidArgument(std::string(kName) + "() needs strings, not " + TypeName(affix));
    CONCLAVE_RETURN_IF_ERROR(budget.Step(1 + static_cast<int64_t>(affix.AsString().size() / 256)));
    if (matches(affix.AsString())) return Value::Bool(true);
  }
  return Value::Bool(false);
}

Result<Value> Replace(Budget& budget, const Value& self, const Arguments& arguments) {
  CONCLAVE_ASSIGN_OR_RETURN(auto bound, Bind("replace", arguments, {"", "", ""}, 2));
  CONCLAVE_ASSIGN_OR_RETURN(const std::string_view old, TextArgument("replace", bound[0], ""));
  CONCLAVE_ASSIGN_OR_RETURN(std::string_view replacement, TextArgument("replace", bound[1], ""));
  CONCLAVE_ASSIGN_OR_RETURN(const int64_t count, IntegerArgument("replace", bound[2], -1));
  std::string escaped;
  if (self.IsMarkup() && !bound[1]->IsMarkup()) {
    escaped = EscapeHtml(replacement);
    replacement = escaped;
  }
  CONCLAVE_ASSIGN_OR_RETURN(std::string text, ReplaceAll(budget, self.AsString(), old, replacement, count));
  return budget.Text(std::move(text), self.IsMarkup());
}

Result<Value> Join(Budget& budget, const Value& self, const Arguments& arguments) {
  CONCLAVE_ASSIGN_OR_RETURN(auto bound, Bind("join", arguments, {""}, 1));
  CONCLAVE_ASSIGN_OR_RETURN(auto items, AllItems(budget, *bound[0]));
  std::string joined;
  for (size_t i = 0; i < items.size(); ++i) {
    if (!items[i].IsString() && !self.IsMarkup()) {
      return InvalidArgument("sequence item " + std::to_string(i) + ": expected str instance, " +
                             TypeName(items[i]) + " found");
    }
    CONCLAVE_ASSIGN_OR_RETURN(const std::string text, ToText(budget, items[i]));
    CONCLAVE_RETURN_IF_ERROR(budget.Bytes(self.AsString().size()));
    if (i > 0) joined += self.AsString();
    joined += self.IsMarkup() && !items[i].IsMarkup() ? EscapeHtml(text) : text;
  }
  return budget.Text(std::move(joined), self.IsMarkup());
}

/// str.ljust, str.rjust and str.center.
template <int kSide>
Result<Value> Pad(Budget& budget, const Value& self, const Arguments& arguments) {
  CONCLAVE_ASSIGN_OR_RETURN(auto bound, Bind("the method", arguments, {"", ""}, 1));
  CONCLAVE_ASSIGN_OR_RETURN(const int64_t width, IntegerArgument("the method", bound[0], 0));
  CONCLAVE_ASSIGN_OR_RETURN(const std::string_view fill, TextArgument("the method", bound[1], " "));
  if (CountCodePoints(fill) != 1)
    return InvalidArgument("the fill character must be exactly one character long");
  const auto length = static_cast<int64_t>(self.AsStringData().code_points);
  const int64_t missing = width > length ? width - length : 0;
  CONCLAVE_RETURN_IF_ERROR(
      budget.Bytes(static_cast<size_t>(std::min<int64_t>(missing, INT64_MAX / 4)) * fill.size()));
  // Of an odd number the right side gets the smaller part when the width is odd.
  const int64_t left = kSide == 0 ? 0 : kSide == 1 ? missing : missing / 2 + (missing & width & 1);
  std::string text;
  for (int64_t i = 0; i < left; ++i) text += fill;
  text += self.AsString();
  for (int64_t i = left; i < missing; ++i) text += fill;
  return budget.Text(std::move(text), self.IsMarkup());
}

Result<Value> ZeroFill(Budget& budget, const Value& self, const Arguments& arguments) {
  CONCLAVE_ASSIGN_OR_RETURN(auto bound, Bind("zfill", arguments, {""}, 1));
  CONCLAVE_ASSIGN_OR_RETURN(const int64_t width, IntegerArgument("zfill", bound[0], 0));
  const std::string_view text = self.AsString();
  const auto length = static_cast<int64_t>(self.AsStringData().code_points);
  if (width <= length) return self;
  CONCLAVE_RETURN_IF_ERROR(budget.Bytes(static_cast<size_t>(width - length)));
  const bool sign = text.starts_with('-') || text.starts_with('+');
  std::string filled(text.substr(0, sign));
  filled += std::string(static_cast<size_t>(width - length), '0');
  return budget.Text(filled + std::string(text.substr(sign)), self.IsMarkup());
}

template <bool kSuffix>
Result<Value> RemoveAffix(Budget& budget, const Value& self, const Arguments& arguments) {
  CONCLAVE_ASSIGN_OR_RETURN(auto bound, Bind("the method", arguments, {""}, 1));
  CONCLAVE_ASSIGN_OR_RETURN(const std::string_view affix, TextArgument("the method", bound[0], ""));
  std::string_view text = self.AsString();
  if (kSuffix && text.ends_with(affix)) text.remove_suffix(affix.size());
  if (!kSuffix && text.starts_with(affix)) text.remove_prefix(affix.size());
  return budget.Text(std::string(text), self.IsMarkup());
}

const std::unordered_map<std::string_view, StringMethod>& Methods() {
  static const std::unordered_map<std::string_view, StringMethod> methods = {
      {"strip", StripMethod<true, true>},
      {"lstrip", StripMethod<true, false>},
      {"rstrip", StripMethod<false, true>},
      {"upper", CaseMethod<ToUpper>},
      {"lower", CaseMethod<ToLower>},
      {"title", CaseMethod<ToTitle>},
      {"capitalize", CaseMethod<Capitalize>},
      {"swapcase", CaseMethod<SwapCase>},
      {"casefold", CaseMethod<FoldCase>},
      {"isdigit", EachMethod<IsDigit>},
      {"isdecimal", EachMethod<IsDecimal>},
      {"isnumeric", EachMethod<IsNumeric>},
      {"isalpha", EachMethod<IsAlpha>},
      {"isalnum", EachMethod<IsAlnum>},
      {"isspace", EachMethod<IsSpace>},
      {"isascii", IsAscii},
      {"isupper", IsCaseMethod<true>},
      {"islower", IsCaseMethod<false>},
      {"startswith", AffixMethod<false>},
      {"endswith", AffixMethod<true>},
      {"replace", Replace},
      {"join", Join},
      {"ljust", Pad<0>},
      {"rjust", Pad<1>},
      {"center", Pad<2>},
      {"zfill", ZeroFill},
      {"removeprefix", RemoveAffix<false>},
      {"removesuffix", RemoveAffix<true>},
      {"split", SplitMethod},
      {"rsplit", RightSplitMethod},
      {"splitlines", SplitLinesMethod},
      {"partition", PartitionMethod},
      {"rpartition", RightPartitionMethod},
      {"find", FindMethodOfText},
      {"rfind", RightFindMethod},
      {"index", IndexMethod},
      {"rindex", RightIndexMethod},
      {"count", CountMethod},
      {"format", FormatBraces}};
  return methods;
}

}  // namespace

StringMethod FindStringMethod(std::string_view name) {
  const auto found = Methods().find(name);
  return found == Methods().end() ? nullptr : found->second;
}

}  // namespace conclave::tokenizer
