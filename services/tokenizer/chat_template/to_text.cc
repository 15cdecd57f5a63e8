#include "services/tokenizer/chat_template/to_text.h"

#include <charconv>
#include <cmath>
#include <cstdio>

#include "services/tokenizer/chat_template/ast.h"
#include "services/tokenizer/chat_template/object.h"
#include "services/tokenizer/chat_template/text.h"
#include "services/tokenizer/chat_template/type_names.h"

namespace conclave::tokenizer {
namespace {

/// Digits and a decimal exponent as Python lays them out: scientific below 1e-4 and from 1e16 on.
std::string LayOut(const std::string& digits, int exponent) {
  if (exponent < -4 || exponent >= 16) {
    std::string out = digits.substr(0, 1);
    if (digits.size() > 1) out += "." + digits.substr(1);
    char buffer[16];
    std::snprintf(buffer, sizeof(buffer), "e%c%02d", exponent < 0 ? '-' : '+', std::abs(exponent));
    return out + buffer;
  }
  if (exponent < 0) return "0." + std::string(static_cast<size_t>(-exponent - 1), '0') + digits;
  const auto whole = static_cast<size_t>(exponent) + 1;
  if (digits.size() <= whole) return digits + std::string(whole - digits.size(), '0') + ".0";
  return digits.substr(0, whole) + "." + digits.substr(whole);
}

class TextWriter {
 public:
  explicit TextWriter(Budget& budget) : budget_(budget) {}

  Status Repr(const Value& value) {
    if (++depth_ > budget_.limits().value_depth)
      return budget_.Exhausted("value_depth", budget_.limits().value_depth);
    CONCLAVE_RETURN_IF_ERROR(budget_.Step());
    const size_t before = out.size();
    CONCLAVE_RETURN_IF_ERROR(ReprInner(value));
    --depth_;
    // Containers pay for their own brackets only: their items have paid.
    return value.IsString() ? budget_.Bytes(out.size() - before) : budget_.Bytes(4);
  }

  std::string out;

 private:
  Status ReprInner(const Value& value) {
    switch (value.kind()) {
      case ValueKind::kUndefined: out += "Undefined"; return Status::Ok();
      case ValueKind::kNone: out += "None"; return Status::Ok();
      case ValueKind::kBool: out += value.AsBool() ? "True" : "False"; return Status::Ok();
      case ValueKind::kInt: out += std::to_string(value.AsInt()); return Status::Ok();
      case ValueKind::kFloat: out += FloatText(value.AsFloat()); return Status::Ok();
      case ValueKind::kString:
        if (value.IsMarkup()) out += "Markup(";
        Quote(value.AsString());
        if (value.IsMarkup()) out += ")";
        return Status::Ok();
      case ValueKind::kList: return Sequence(value.Items(), value.IsTuple());
      case ValueKind::kDict: return Dict(value.AsDict());
      case ValueKind::kObject: return ReprObject(*value.AsObject());
    }
    return Status::Ok();
  }

  Status Sequence(const std::vector<Value>& items, bool tuple) {
    out += tuple ? "(" : "[";
    for (size_t i = 0; i < items.size(); ++i) {
      if (i > 0) out += ", ";
      CONCLAVE_RETURN_IF_ERROR(Repr(items[i]));
    }
    if (tuple && items.size() == 1) out += ",";
    out += tuple ? ")" : "]";
    return Status::Ok();
  }

  Status Dict(const DictData& dict) {
    out += "{";
    for (size_t i = 0; i < dict.entries.size(); ++i) {
      if (i > 0) out += ", ";
      CONCLAVE_RETURN_IF_ERROR(Repr(dict.entries[i].first));
      out += ": ";
      CONCLAVE_RETURN_IF_ERROR(Repr(dict.entries[i].second));
    }
    out += "}";
    return Status::Ok();
  }

  Status DictView(const DictViewObject& view, const std::string& type) {
    out += type + "([";
    for (size_t i = 0; i < view.dict().entries.size(); ++i) {
      if (i > 0) out += ", ";
      CONCLAVE_RETURN_IF_ERROR(Repr(view.At(i)));
    }
    out += "])";
    return Status::Ok();
  }

  Status Namespace(const NamespaceObject& space) {
    out += "<Namespace {";
    bool first = true;
    for (const auto& [name, value] : space.attributes()) {
      if (!first) out += ", ";
      first = false;
      Quote(name);
      out += ": ";
      CONCLAVE_RETURN_IF_ERROR(Repr(value));
    }
    out += "}>";
    return Status::Ok();
  }

  Status ReprObject(const Object& object) {
    switch (object.kind()) {
      case ObjectKind::kNamespace: return Namespace(static_cast<const NamespaceObject&>(object));
      case ObjectKind::kDictView: {
        const auto& view = static_cast<const DictViewObject&>(object);
        constexpr const char* kNames[] = {"dict_keys", "dict_values", "dict_items"};
        return DictView(view, kNames[static_cast<int>(view.part())]);
      }
      case ObjectKind::kRange: {
        const auto& range = static_cast<const RangeObject&>(object);
        out += "range(" + std::to_string(range.start()) + ", " + std::to_string(range.stop());
        if (range.step() != 1) out += ", " + std::to_string(range.step());
        out += ")";
        return Status::Ok();
      }
      case ObjectKind::kMacro: {
        const std::string& name = static_cast<const MacroObject&>(object).definition().macro.name;
        out += name.empty() ? "<Macro anonymous>" : "<Macro '" + name + "'>";
        return Status::Ok();
      }
      default: return Unimplemented("printing a function, an iterator or another object is not supported");
    }
  }

  void Escape(char32_t c) {
    char buffer[16];
    const char* format = c < 0x100 ? "\\x%02x" : c < 0x10000 ? "\\u%04x" : "\\U%08x";
    std::snprintf(buffer, sizeof(buffer), format, static_cast<unsigned>(c));
    out += buffer;
  }

  void Quote(std::string_view text) {
    const bool has_single = text.find('\'') != std::string_view::npos;
    const char quote = has_single && text.find('"') == std::string_view::npos ? '"' : '\'';
    out += quote;
    for (size_t at = 0; at < text.size();) {
      const size_t start = at;
      const char32_t c = DecodeCodePoint(text, at);
      if (c == static_cast<char32_t>(quote) || c == '\\') {
        out += '\\';
        out += static_cast<char>(c);
      } else if (c == '\n') {
        out += "\\n";
      } else if (c == '\r') {
        out += "\\r";
      } else if (c == '\t') {
        out += "\\t";
      } else if (IsPrintable(c)) {
        out += text.substr(start, at - start);
      } else {
        Escape(c);
      }
    }
    out += quote;
  }

  Budget& budget_;
  int depth_ = 0;
};

}  // namespace

std::string FloatText(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value < 0 ? "-inf" : "inf";
  char buffer[64];
  const auto end =
      std::to_chars(buffer, buffer + sizeof(buffer), std::abs(value), std::chars_format::scientific).ptr;
  const std::string_view text(buffer, static_cast<size_t>(end - buffer));
  const size_t mark = text.find('e');
  int exponent = 0;
  const char* exponent_start = text.data() + mark + (text[mark + 1] == '+' ? 2 : 1);
  std::from_chars(exponent_start, end, exponent);
  std::string digits(text.substr(0, 1));
  if (mark > 2) digits += text.substr(2, mark - 2);
  return (std::signbit(value) ? "-" : "") + LayOut(digits, exponent);
}

Result<std::string> ToRepr(Budget& budget, const Value& value) {
  TextWriter writer(budget);
  CONCLAVE_RETURN_IF_ERROR(writer.Repr(value));
  return std::move(writer.out);
}

Result<std::string> ToText(Budget& budget, const Value& value) {
  if (value.IsUndefined()) return std::string();
  if (!value.IsString()) return ToRepr(budget, value);
  CONCLAVE_RETURN_IF_ERROR(budget.Bytes(value.AsString().size()));
  return std::string(value.AsString());
}

Result<Value> ToStringValue(Budget& budget, const Value& value) {
  if (value.IsString()) return value;
  CONCLAVE_ASSIGN_OR_RETURN(std::string text, ToText(budget, value));
  return budget.String(std::move(text));
}

}  // namespace conclave::tokenizer
