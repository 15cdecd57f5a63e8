#include <algorithm>

#include <unicode/uchar.h>

#include "services/tokenizer/chat_template/filters.h"
#include "services/tokenizer/chat_template/interpreter.h"
#include "services/tokenizer/chat_template/json.h"
#include "services/tokenizer/chat_template/operators.h"
#include "services/tokenizer/chat_template/string_search.h"
#include "services/tokenizer/chat_template/text.h"
#include "services/tokenizer/chat_template/to_text.h"
#include "services/tokenizer/chat_template/type_names.h"

namespace conclave::tokenizer {
namespace {

template <std::string (*kMap)(std::string_view)>
Result<Value> CaseFilter(Interpreter& interpreter, const Value& input, const Arguments& arguments) {
  Budget& budget = interpreter.budget();
  CONCLAVE_RETURN_IF_ERROR(Bind("the filter", arguments, {}).status());
  CONCLAVE_ASSIGN_OR_RETURN(const Value text, ToStringValue(budget, input));
  CONCLAVE_RETURN_IF_ERROR(budget.Bytes(text.AsString().size()));
  return budget.Text(kMap(text.AsString()), text.IsMarkup());
}

/// jinja2 puts the words together as plain text.
Result<Value> TitleFilter(Interpreter& interpreter, const Value& input, const Arguments& arguments) {
  Budget& budget = interpreter.budget();
  CONCLAVE_RETURN_IF_ERROR(Bind("title", arguments, {}).status());
  CONCLAVE_ASSIGN_OR_RETURN(const Value text, ToStringValue(budget, input));
  CONCLAVE_RETURN_IF_ERROR(budget.Bytes(text.AsString().size()));
  return budget.String(TitleWords(text.AsString()));
}

Result<Value> TrimFilter(Interpreter& interpreter, const Value& input, const Arguments& arguments) {
  Budget& budget = interpreter.budget();
  CONCLAVE_ASSIGN_OR_RETURN(auto bound, Bind("trim", arguments, {"chars"}));
  CONCLAVE_ASSIGN_OR_RETURN(const Value text, ToStringValue(budget, input));
  std::optional<std::string_view> chars;
  if (bound[0] && !bound[0]->IsNone()) {
    CONCLAVE_ASSIGN_OR_RETURN(chars, TextArgument("trim", bound[0], ""));
    CONCLAVE_RETURN_IF_ERROR(budget.Step(static_cast<int64_t>(text.AsString().size() * chars->size() / 256)));
  }
  return budget.Text(std::string(Strip(text.AsString(), chars, true, true)), text.IsMarkup());
}

Result<Value> ReplaceFilter(Interpreter& interpreter, const Value& input, const Arguments& arguments) {
  Budget& budget = interpreter.budget();
  CONCLAVE_ASSIGN_OR_RETURN(auto bound, Bind("replace", arguments, {"old", "new", "count"}, 2));
  CONCLAVE_ASSIGN_OR_RETURN(const std::string text, ToText(budget, input));
  CONCLAVE_ASSIGN_OR_RETURN(const std::string old, ToText(budget, *bound[0]));
  CONCLAVE_ASSIGN_OR_RETURN(const std::string replacement, ToText(budget, *bound[1]));
  if (bound[2] && bound[2]->IsNone()) bound[2].reset();
  CONCLAVE_ASSIGN_OR_RETURN(const int64_t count, IntegerArgument("replace", bound[2], -1));
  CONCLAVE_ASSIGN_OR_RETURN(std::string replaced, ReplaceAll(budget, text, old, replacement, count));
  return budget.String(std::move(replaced));
}

Result<std::string> Indention(Budget& budget, const std::optional<Value>& width) {
  if (width && width->IsString()) return std::string(width->AsString());
  CONCLAVE_ASSIGN_OR_RETURN(const int64_t spaces, IntegerArgument("indent", width, 4));
  CONCLAVE_RETURN_IF_ERROR(budget.Bytes(spaces > 0 ? static_cast<size_t>(spaces) : 0));
  return std::string(static_cast<size_t>(std::max<int64_t>(spaces, 0)), ' ');
}

Result<Value> IndentFilter(Interpreter& interpreter, const Value& input, const Arguments& arguments) {
  Budget& budget = interpreter.budget();
  CONCLAVE_ASSIGN_OR_RETURN(auto bound, Bind("indent", arguments, {"width", "first", "blank"}));
  CONCLAVE_ASSIGN_OR_RETURN(const std::string indention, Indention(budget, bound[0]));
  const bool first = bound[1] && IsTrue(*bound[1]);
  const bool blank = bound[2] && IsTrue(*bound[2]);
  if (input.IsUndefined()) return UndefinedError(input);
  if (!input.IsString()) return InvalidArgument("indent() needs a string, not " + TypeName(input));
  CONCLAVE_RETURN_IF_ERROR(budget.Bytes(input.AsString().size() * 2));
  const std::string text = std::string(input.AsString()) + "\n";
  std::string out = first ? indention : "";
  bool first_line = true;
  for (const std::string_view line : SplitLines(text, false)) {
    CONCLAVE_RETURN_IF_ERROR(budget.Step());
    if (!first_line) out += '\n';
    if (!first_line && (blank || !line.empty())) {
      CONCLAVE_RETURN_IF_ERROR(budget.Bytes(indention.size()));
      out += indention;
    }
    out += line;
    first_line = false;
  }
  return budget.Text(std::move(out), input.IsMarkup());
}

Result<Value> StringFilter(Interpreter& interpreter, const Value& input, const Arguments& arguments) {
  CONCLAVE_RETURN_IF_ERROR(Bind("string", arguments, {}).status());
  return ToStringValue(interpreter.budget(), input);
}

Result<Value> SafeFilter(Interpreter& interpreter, const Value& input, const Arguments& arguments) {
  CONCLAVE_RETURN_IF_ERROR(Bind("safe", arguments, {}).status());
  CONCLAVE_ASSIGN_OR_RETURN(std::string text, ToText(interpreter.budget(), input));
  return interpreter.budget().Markup(std::move(text));
}

template <bool kForce>
Result<Value> EscapeFilter(Interpreter& interpreter, const Value& input, const Arguments& arguments) {
  CONCLAVE_RETURN_IF_ERROR(Bind("escape", arguments, {}).status());
  if (input.IsMarkup() && !kForce) return input;
  CONCLAVE_ASSIGN_OR_RETURN(const std::string text, ToText(interpreter.budget(), input));
  return interpreter.budget().Markup(EscapeHtml(text));
}

Result<Value> CenterFilter(Interpreter& interpreter, const Value& input, const Arguments& arguments) {
  Budget& budget = interpreter.budget();
  CONCLAVE_ASSIGN_OR_RETURN(auto bound, Bind("center", arguments, {"width"}));
  CONCLAVE_ASSIGN_OR_RETURN(const int64_t width, IntegerArgument("center", bound[0], 80));
  CONCLAVE_ASSIGN_OR_RETURN(const Value text, ToStringValue(budget, input));
  const auto length = static_cast<int64_t>(text.AsStringData().code_points);
  if (width <= length) return text;
  const int64_t missing = width - length;
  CONCLAVE_RETURN_IF_ERROR(budget.Bytes(static_cast<size_t>(missing)));
  const auto left = static_cast<size_t>(missing / 2 + (missing & width & 1));
  return budget.Text(std::string(left, ' ') + std::string(text.AsString()) +
                         std::string(static_cast<size_t>(missing) - left, ' '),
                     text.IsMarkup());
}

Result<Value> FormatFilter(Interpreter& interpreter, const Value& input, const Arguments& arguments) {
  Budget& budget = interpreter.budget();
  if (!arguments.positional.empty() && !arguments.named.empty()) {
    return InvalidArgument("format cannot handle positional and keyword arguments at the same time");
  }
  CONCLAVE_ASSIGN_OR_RETURN(const Value format, ToStringValue(budget, input));
  if (arguments.named.empty()) {
    CONCLAVE_ASSIGN_OR_RETURN(const Value values, budget.Tuple(arguments.positional));
    return Calculate(budget, Operator::kModulo, format, values);
  }
  Value::Entries entries;
  for (const auto& [name, value] : arguments.named) entries.emplace_back(Value::String(name), value);
  CONCLAVE_ASSIGN_OR_RETURN(const Value values, budget.Dict(std::move(entries)));
  return Calculate(budget, Operator::kModulo, format, values);
}

Result<Value> TruncateFilter(Interpreter& interpreter, const Value& input, const Arguments& arguments) {
  Budget& budget = interpreter.budget();
  CONCLAVE_ASSIGN_OR_RETURN(auto bound,
                            Bind("truncate", arguments, {"length", "killwords", "end", "leeway"}));
  CONCLAVE_ASSIGN_OR_RETURN(const int64_t length, IntegerArgument("truncate", bound[0], 255));
  CONCLAVE_ASSIGN_OR_RETURN(const std::string_view end, TextArgument("truncate", bound[2], "..."));
  if (bound[3] && bound[3]->IsNone()) bound[3].reset();
  CONCLAVE_ASSIGN_OR_RETURN(const int64_t leeway, IntegerArgument("truncate", bound[3], 5));
  const auto end_length = static_cast<int64_t>(CountCodePoints(end));
  if (length < end_length || leeway < 0)
    return InvalidArgument("truncate() got a length or leeway that is too small");
  const int64_t input_length = LengthOf(input);
  if (input_length >= 0 && input_length - leeway <= length) return input;
  if (!input.IsString()) return InvalidArgument("truncate() needs a string, not " + TypeName(input));
  const StringData& text = input.AsStringData();
  std::string kept = text.bytes.substr(0, ByteOffset(text, static_cast<size_t>(length - end_length)));
  const size_t space = kept.rfind(' ');
  if (!(bound[1] && IsTrue(*bound[1])) && space != std::string::npos) kept.resize(space);
  const bool markup = input.IsMarkup() || (bound[2] && bound[2]->IsMarkup());
  if (markup) return Unimplemented("truncating Markup is not supported");
  return budget.String(kept + std::string(end));
}

Result<Value> WordCountFilter(Interpreter& interpreter, const Value& input, const Arguments& arguments) {
  CONCLAVE_RETURN_IF_ERROR(Bind("wordcount", arguments, {}).status());
  CONCLAVE_ASSIGN_OR_RETURN(const std::string text, ToText(interpreter.budget(), input));
  int64_t count = 0;
  bool inside = false;
  for (size_t at = 0; at < text.size();) {
    const auto c = static_cast<UChar32>(DecodeCodePoint(text, at));
    const bool word = c == '_' || u_isalpha(c) || u_getIntPropertyValue(c, UCHAR_NUMERIC_TYPE) != U_NT_NONE;
    count += word && !inside;
    inside = word;
  }
  return Value::Int(count);
}

Result<JsonStyle> StyleOf(const BoundArguments& bound, Budget& budget) {
  JsonStyle style;
  style.ensure_ascii = bound[0] && IsTrue(*bound[0]);
  style.sort_keys = bound[3] && IsTrue(*bound[3]);
  if (bound[1] && bound[1]->IsString()) {
    style.indent = std::string(bound[1]->AsString());
  } else if (bound[1] && !bound[1]->IsNone()) {
    CONCLAVE_ASSIGN_OR_RETURN(const int64_t spaces, IntegerArgument("tojson", bound[1], 0));
    CONCLAVE_RETURN_IF_ERROR(budget.Bytes(spaces > 0 ? static_cast<size_t>(spaces) : 0));
    style.indent = std::string(static_cast<size_t>(std::max<int64_t>(spaces, 0)), ' ');
  }
  if (style.indent) style.item_separator = ",";
  if (!bound[2] || bound[2]->IsNone()) return style;
  if (!bound[2]->IsSequence() || bound[2]->Items().size() != 2 || !bound[2]->Items()[0].IsString() ||
      !bound[2]->Items()[1].IsString()) {
    return InvalidArgument("tojson() needs two strings as separators");
  }
  style.item_separator = bound[2]->Items()[0].AsString();
  style.key_separator = bound[2]->Items()[1].AsString();
  return style;
}

Result<Value> ToJsonFilter(Interpreter& interpreter, const Value& input, const Arguments& arguments) {
  Budget& budget = interpreter.budget();
  CONCLAVE_ASSIGN_OR_RETURN(auto bound,
                            Bind("tojson", arguments, {"ensure_ascii", "indent", "separators", "sort_keys"}));
  CONCLAVE_ASSIGN_OR_RETURN(const JsonStyle style, StyleOf(bound, budget));
  CONCLAVE_ASSIGN_OR_RETURN(std::string text, WriteJson(budget, input, style));
  return budget.String(std::move(text));
}

}  // namespace

const FilterTable& TextFilters() {
  static const FilterTable table = {
      {"upper", CaseFilter<ToUpper>},  {"lower", CaseFilter<ToLower>}, {"capitalize", CaseFilter<Capitalize>},
      {"title", TitleFilter},          {"trim", TrimFilter},           {"replace", ReplaceFilter},
      {"indent", IndentFilter},        {"string", StringFilter},       {"safe", SafeFilter},
      {"escape", EscapeFilter<false>}, {"e", EscapeFilter<false>},     {"forceescape", EscapeFilter<true>},
      {"center", CenterFilter},        {"format", FormatFilter},       {"truncate", TruncateFilter},
      {"wordcount", WordCountFilter},  {"tojson", ToJsonFilter}};
  return table;
}

}  // namespace conclave::tokenizer
