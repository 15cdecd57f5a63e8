#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace conclave::tokenizer {

class Object;
class Value;
struct DictData;
struct ListData;
struct StringData;
struct UndefinedInfo;

enum class ValueKind { kUndefined, kNone, kBool, kInt, kFloat, kString, kList, kDict, kObject };

/// A value of the template language, with Python's meaning: what messages are made of, and what a
/// template computes with. Copies share their contents; strings, lists and dicts never change once made
/// (the language's sandbox forbids it), so that any thread may read them.
class Value {
 public:
  using Entries = std::vector<std::pair<Value, Value>>;

  /// None.
  Value() : data_(None{}) {}

  static Value Bool(bool value);
  static Value Int(int64_t value);
  static Value Float(double value);
  /// `text` is UTF-8; ChatTemplate::Render refuses inputs that are not.
  static Value String(std::string text);
  static Value List(std::vector<Value> items);
  static Value Tuple(std::vector<Value> items);
  /// Keeps the order of `entries`; a key that comes again replaces the earlier value, in its place. Each
  /// key satisfies IsDictKey.
  static Value Dict(Entries entries);
  /// The pair that the groupby filter makes: a tuple whose parts are also named `grouper` and `list`.
  static Value Group(Value grouper, Value items);
  /// Text that counts as HTML-escaped already (jinja2's Markup).
  static Value Markup(std::string text);
  static Value Undefined(std::shared_ptr<const UndefinedInfo> info);
  static Value FromObject(std::shared_ptr<Object> object);

  ValueKind kind() const { return static_cast<ValueKind>(data_.index()); }
  bool IsUndefined() const { return kind() == ValueKind::kUndefined; }
  bool IsNone() const { return kind() == ValueKind::kNone; }
  bool IsBool() const { return kind() == ValueKind::kBool; }
  bool IsInt() const { return kind() == ValueKind::kInt; }
  bool IsFloat() const { return kind() == ValueKind::kFloat; }
  bool IsString() const { return kind() == ValueKind::kString; }
  /// A list or a tuple.
  bool IsSequence() const { return kind() == ValueKind::kList; }
  bool IsDict() const { return kind() == ValueKind::kDict; }
  bool IsObject() const { return kind() == ValueKind::kObject; }
  /// A bool or an int, which Python treats alike in arithmetic.
  bool IsIntegral() const { return IsBool() || IsInt(); }
  bool IsNumber() const { return IsIntegral() || IsFloat(); }

  /// Each of these is for its own kind only.
  bool AsBool() const { return std::get<bool>(data_); }
  /// Also for a bool.
  int64_t AsInt() const { return IsBool() ? AsBool() : std::get<int64_t>(data_); }
  /// Also for a bool or an int.
  double AsFloat() const { return IsFloat() ? std::get<double>(data_) : static_cast<double>(AsInt()); }
  const StringData& AsStringData() const { return *std::get<std::shared_ptr<const StringData>>(data_); }
  std::string_view AsString() const;
  const ListData& AsList() const { return *std::get<std::shared_ptr<const ListData>>(data_); }
  const std::vector<Value>& Items() const;
  const DictData& AsDict() const { return *std::get<std::shared_ptr<const DictData>>(data_); }
  const UndefinedInfo* AsUndefined() const {
    return std::get<std::shared_ptr<const UndefinedInfo>>(data_).get();
  }
  const std::shared_ptr<Object>& AsObject() const { return std::get<std::shared_ptr<Object>>(data_); }

  bool IsMarkup() const;
  bool IsTuple() const;

  /// Levels of lists, dicts and iterators over them; 0 for a plain value.
  int Depth() const;
  /// The same list, dict, string or object, or an equal plain value of the same type: Python's `is`.
  bool IsSame(const Value& other) const;

 private:
  struct None {};
  using Data = std::variant<std::shared_ptr<const UndefinedInfo>, None, bool, int64_t, double,
                            std::shared_ptr<const StringData>, std::shared_ptr<const ListData>,
                            std::shared_ptr<const DictData>, std::shared_ptr<Object>>;

  Data data_;
};

struct StringData {
  std::string bytes;
  size_t code_points = 0;
  bool markup = false;

  /// Each byte is a character, so that positions need no search.
  bool IsAscii() const { return code_points == bytes.size(); }
};

struct ListData {
  std::vector<Value> items;
  bool tuple = false;
  /// A (grouper, list) pair of the groupby filter, whose parts have these names too.
  bool group = false;
  int depth = 1;
};

/// Orders dict keys so that exactly the keys that Python takes for one key are equal.
struct KeyLess {
  using is_transparent = void;
  bool operator()(const Value* left, const Value* right) const;
  bool operator()(const Value* left, std::string_view right) const;
  bool operator()(std::string_view left, const Value* right) const;
};

struct DictData {
  Value::Entries entries;
  /// Position by key; made for larger dicts only. The pointers are into `entries`.
  std::map<const Value*, size_t, KeyLess> index;
  int depth = 1;

  /// The value of `key`, or nullptr. Compares as Python does: 1, 1.0 and True are one key.
  /// `key` satisfies IsDictKey.
  const Value* Find(const Value& key) const;
  const Value* Find(std::string_view key) const;
};

/// A string, a number, a bool, None, or a tuple of these: what a dict here can have as its key.
bool IsDictKey(const Value& value);

/// Why a value is undefined; the message is put together only when someone uses it.
struct UndefinedInfo {
  std::string hint;
  /// The type of the object that lacks `name`; empty when a variable is missing.
  std::string owner_type;
  Value name;
};

/// {"role": role, "content": content}
Value ChatMessageValue(std::string role, std::string content);

}  // namespace conclave::tokenizer
