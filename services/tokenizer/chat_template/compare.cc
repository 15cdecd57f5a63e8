#include "services/tokenizer/chat_template/compare.h"

#include "services/tokenizer/chat_template/object.h"

namespace conclave::tokenizer {
namespace {

bool ListsEqual(const ListData& left, const ListData& right, int64_t& work) {
  if (&left == &right) return true;
  if (left.tuple != right.tuple || left.items.size() != right.items.size()) return false;
  for (size_t i = 0; i < left.items.size(); ++i) {
    if (!ValuesEqual(left.items[i], right.items[i], work)) return false;
  }
  return true;
}

bool DictsEqual(const DictData& left, const DictData& right, int64_t& work) {
  if (&left == &right) return true;
  if (left.entries.size() != right.entries.size()) return false;
  for (const auto& [key, value] : left.entries) {
    const Value* other = right.Find(key);
    if (other == nullptr || !ValuesEqual(value, *other, work)) return false;
  }
  return true;
}

bool ViewsEqual(const DictViewObject& left, const DictViewObject& right, int64_t& work) {
  if (left.part() != right.part() || left.part() == DictPart::kValues) return false;
  if (left.part() == DictPart::kItems) return DictsEqual(left.dict(), right.dict(), work);
  if (left.dict().entries.size() != right.dict().entries.size()) return false;
  for (const auto& [key, value] : left.dict().entries) {
    if (--work < 0 || right.dict().Find(key) == nullptr) return false;
  }
  return true;
}

bool ObjectsEqual(const Object& left, const Object& right, int64_t& work) {
  if (&left == &right) return true;
  if (left.kind() != right.kind()) return false;
  if (left.kind() == ObjectKind::kDictView) {
    return ViewsEqual(static_cast<const DictViewObject&>(left), static_cast<const DictViewObject&>(right),
                      work);
  }
  if (left.kind() != ObjectKind::kRange) return false;
  const auto& a = static_cast<const RangeObject&>(left);
  const auto& b = static_cast<const RangeObject&>(right);
  if (a.Size() != b.Size()) return false;
  return a.Size() == 0 || (a.start() == b.start() && (a.Size() == 1 || a.step() == b.step()));
}

}  // namespace

int CompareNumbers(const Value& left, const Value& right) {
  if (left.IsIntegral() && right.IsIntegral()) {
    return left.AsInt() < right.AsInt() ? -1 : left.AsInt() > right.AsInt();
  }
  // 64 bits of mantissa hold every int64 and every double.
  const long double a = left.IsIntegral() ? static_cast<long double>(left.AsInt()) : left.AsFloat();
  const long double b = right.IsIntegral() ? static_cast<long double>(right.AsInt()) : right.AsFloat();
  if (a != a || b != b) return 2;
  return a < b ? -1 : a > b;
}

bool ValuesEqual(const Value& left, const Value& right, int64_t& work) {
  if (--work < 0) return false;
  if (left.IsNumber() && right.IsNumber()) return CompareNumbers(left, right) == 0;
  if (left.kind() != right.kind()) return false;
  switch (left.kind()) {
    case ValueKind::kUndefined:
    case ValueKind::kNone: return true;
    case ValueKind::kString:
      if (left.AsString().size() != right.AsString().size()) return false;
      work -= static_cast<int64_t>(left.AsString().size() / 256);
      return left.AsString() == right.AsString();
    case ValueKind::kList: return ListsEqual(left.AsList(), right.AsList(), work);
    case ValueKind::kDict: return DictsEqual(left.AsDict(), right.AsDict(), work);
    case ValueKind::kObject: return ObjectsEqual(*left.AsObject(), *right.AsObject(), work);
    default: return false;
  }
}

int ObjectDepth(const Object& object) { return object.depth(); }

}  // namespace conclave::tokenizer
