#include <algorithm>
#include <cmath>
#include <cstdio>

#include "services/tokenizer/chat_template/json.h"
#include "services/tokenizer/chat_template/operators.h"
#include "services/tokenizer/chat_template/text.h"
#include "services/tokenizer/chat_template/to_text.h"
#include "services/tokenizer/chat_template/type_names.h"

namespace conclave::tokenizer {
namespace {

class JsonWriter {
 public:
  JsonWriter(Budget& budget, const JsonStyle& style) : budget_(budget), style_(style) {}

  Status Write(const Value& value) {
    CONCLAVE_RETURN_IF_ERROR(budget_.Step());
    CONCLAVE_RETURN_IF_ERROR(budget_.Bytes(8));
    switch (value.kind()) {
      case ValueKind::kNone: out += "null"; return Status::Ok();
      case ValueKind::kBool: out += value.AsBool() ? "true" : "false"; return Status::Ok();
      case ValueKind::kInt: out += std::to_string(value.AsInt()); return Status::Ok();
      case ValueKind::kFloat: out += Number(value.AsFloat()); return Status::Ok();
      case ValueKind::kString: return Quote(value.AsString());
      case ValueKind::kList: return List(value.Items());
      case ValueKind::kDict: return Dict(value.AsDict());
      default: return InvalidArgument("object of type " + TypeName(value) + " is not JSON serializable");
    }
  }

  std::string out;

 private:
  static std::string Number(double value) {
    if (std::isnan(value)) return "NaN";
    if (std::isinf(value)) return value < 0 ? "-Infinity" : "Infinity";
    return FloatText(value);
  }

  /// Between two items, or in front of the first or behind the last of a level.
  Status Break(bool separator) {
    if (separator) out += style_.item_separator;
    if (!style_.indent) return Status::Ok();
    CONCLAVE_RETURN_IF_ERROR(budget_.Bytes(1 + style_.indent->size() * static_cast<size_t>(level_)));
    out += '\n';
    for (int i = 0; i < level_; ++i) out += *style_.indent;
    return Status::Ok();
  }

  Status List(const std::vector<Value>& items) {
    if (items.empty()) return out += "[]", Status::Ok();
    out += '[';
    ++level_;
    for (size_t i = 0; i < items.size(); ++i) {
      CONCLAVE_RETURN_IF_ERROR(Break(i > 0));
      CONCLAVE_RETURN_IF_ERROR(Write(items[i]));
    }
    --level_;
    CONCLAVE_RETURN_IF_ERROR(Break(false));
    out += ']';
    return Status::Ok();
  }

  Status Key(const Value& key) {
    switch (key.kind()) {
      case ValueKind::kString: return Quote(key.AsString());
      case ValueKind::kNone: return Quote("null");
      case ValueKind::kBool: return Quote(key.AsBool() ? "true" : "false");
      case ValueKind::kInt: return Quote(std::to_string(key.AsInt()));
      case ValueKind::kFloat: return Quote(Number(key.AsFloat()));
      default: return InvalidArgument("keys must be str, int, float, bool or None, not " + TypeName(key));
    }
  }

  Status Dict(const DictData& dict) {
    if (dict.entries.empty()) return out += "{}", Status::Ok();
    std::vector<size_t> order(dict.entries.size());
    for (size_t i = 0; i < order.size(); ++i) order[i] = i;
    if (style_.sort_keys) {
      std::vector<Value> keys;
      for (const auto& [key, value] : dict.entries) keys.push_back(key);
      CONCLAVE_ASSIGN_OR_RETURN(order, SortedOrder(budget_, keys, false));
    }
    out += '{';
    ++level_;
    for (size_t i = 0; i < order.size(); ++i) {
      CONCLAVE_RETURN_IF_ERROR(Break(i > 0));
      CONCLAVE_RETURN_IF_ERROR(Key(dict.entries[order[i]].first));
      out += style_.key_separator;
      CONCLAVE_RETURN_IF_ERROR(Write(dict.entries[order[i]].second));
    }
    --level_;
    CONCLAVE_RETURN_IF_ERROR(Break(false));
    out += '}';
    return Status::Ok();
  }

  void Unit(unsigned unit) {
    char buffer[8];
    std::snprintf(buffer, sizeof(buffer), "\\u%04x", unit);
    out += buffer;
  }

  void Escaped(char32_t c) {
    if (c < 0x10000) return Unit(static_cast<unsigned>(c));
    Unit(0xD800 + static_cast<unsigned>((c - 0x10000) >> 10));
    Unit(0xDC00 + static_cast<unsigned>((c - 0x10000) & 0x3FF));
  }

  Status Quote(std::string_view text) {
    const size_t before = out.size();
    out += '"';
    for (size_t at = 0; at < text.size();) {
      const size_t start = at;
      const char32_t c = DecodeCodePoint(text, at);
      switch (c) {
        case '"': out += "\\\""; break;
        case '\\': out += "\\\\"; break;
        case '\n': out += "\\n"; break;
        case '\r': out += "\\r"; break;
        case '\t': out += "\\t"; break;
        case '\f': out += "\\f"; break;
        case '\b': out += "\\b"; break;
        default:
          if (c < 0x20 || (style_.ensure_ascii && c > 0x7E)) {
            Escaped(c);
          } else {
            out += text.substr(start, at - start);
          }
      }
    }
    out += '"';
    return budget_.Bytes(out.size() - before);
  }

  Budget& budget_;
  const JsonStyle& style_;
  int level_ = 0;
};

}  // namespace

Result<std::string> WriteJson(Budget& budget, const Value& value, const JsonStyle& style) {
  JsonWriter writer(budget, style);
  CONCLAVE_RETURN_IF_ERROR(writer.Write(value));
  return std::move(writer.out);
}

}  // namespace conclave::tokenizer
