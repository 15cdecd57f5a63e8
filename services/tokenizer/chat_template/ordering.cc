#include <algorithm>

#include "services/tokenizer/chat_template/compare.h"
#include "services/tokenizer/chat_template/object.h"
#include "services/tokenizer/chat_template/operators.h"
#include "services/tokenizer/chat_template/type_names.h"

namespace conclave::tokenizer {
namespace {

bool IsView(const Value& value) {
  return value.IsObject() && value.AsObject()->kind() == ObjectKind::kDictView;
}

/// -1, 0, 1, or 2 for numbers without an order (NaN).
Result<int> Order(Budget& budget, const Value& left, const Value& right) {
  CONCLAVE_RETURN_IF_ERROR(budget.Step());
  if (left.IsNumber() && right.IsNumber()) return CompareNumbers(left, right);
  if (left.IsString() && right.IsString()) {
    CONCLAVE_RETURN_IF_ERROR(budget.Text(std::min(left.AsString().size(), right.AsString().size())));
    // The bytes of UTF-8 are in the order of the code points.
    const int order = left.AsString().compare(right.AsString());
    return order < 0 ? -1 : order > 0;
  }
  if (left.IsUndefined()) return UndefinedError(left);
  if (right.IsUndefined()) return UndefinedError(right);
  if (IsView(left) && IsView(right)) return Unimplemented("the order of dict views is not supported");
  if (!left.IsSequence() || !right.IsSequence() || left.IsTuple() != right.IsTuple()) {
    return InvalidArgument("'" + TypeName(left) + "' and '" + TypeName(right) + "' have no order");
  }
  const size_t shared = std::min(left.Items().size(), right.Items().size());
  for (size_t i = 0; i < shared; ++i) {
    CONCLAVE_ASSIGN_OR_RETURN(const bool equal, budget.Equal(left.Items()[i], right.Items()[i]));
    if (!equal) return Order(budget, left.Items()[i], right.Items()[i]);
  }
  if (left.Items().size() == right.Items().size()) return 0;
  return left.Items().size() < right.Items().size() ? -1 : 1;
}

/// A merge sort of its own: std::sort may run out of its range when the values have no consistent order.
class Sorter {
 public:
  Sorter(Budget& budget, const std::vector<Value>& keys, bool reverse)
      : budget_(budget), keys_(keys), reverse_(reverse), order_(keys.size()), buffer_(keys.size()) {
    for (size_t i = 0; i < order_.size(); ++i) order_[i] = i;
  }

  Result<std::vector<size_t>> Run() {
    for (size_t width = 1; width < order_.size(); width *= 2) {
      for (size_t start = 0; start < order_.size(); start += 2 * width) {
        CONCLAVE_RETURN_IF_ERROR(
            Merge(start, std::min(start + width, order_.size()), std::min(start + 2 * width, order_.size())));
      }
      order_.swap(buffer_);
    }
    return std::move(order_);
  }

 private:
  Result<bool> Before(size_t later, size_t earlier) {
    return reverse_ ? IsLess(budget_, keys_[earlier], keys_[later])
                    : IsLess(budget_, keys_[later], keys_[earlier]);
  }

  Status Merge(size_t start, size_t middle, size_t end) {
    size_t left = start;
    size_t right = middle;
    for (size_t out = start; out < end; ++out) {
      bool take_right = left >= middle;
      if (left < middle && right < end) {
        CONCLAVE_ASSIGN_OR_RETURN(take_right, Before(order_[right], order_[left]));
      }
      buffer_[out] = take_right ? order_[right++] : order_[left++];
    }
    return Status::Ok();
  }

  Budget& budget_;
  const std::vector<Value>& keys_;
  bool reverse_;
  std::vector<size_t> order_;
  std::vector<size_t> buffer_;
};

}  // namespace

Result<bool> IsLess(Budget& budget, const Value& left, const Value& right) {
  CONCLAVE_ASSIGN_OR_RETURN(const int order, Order(budget, left, right));
  return order == -1;
}

Result<bool> CompareValues(Budget& budget, Operator op, const Value& left, const Value& right) {
  if (op == Operator::kEqual) return budget.Equal(left, right);
  if (op == Operator::kNotEqual) {
    CONCLAVE_ASSIGN_OR_RETURN(const bool equal, budget.Equal(left, right));
    return !equal;
  }
  CONCLAVE_ASSIGN_OR_RETURN(const int order, Order(budget, left, right));
  switch (op) {
    case Operator::kLess: return order == -1;
    case Operator::kLessEqual: return order == -1 || order == 0;
    case Operator::kGreater: return order == 1;
    default: return order == 1 || order == 0;
  }
}

Result<std::vector<size_t>> SortedOrder(Budget& budget, const std::vector<Value>& keys, bool reverse) {
  CONCLAVE_RETURN_IF_ERROR(budget.Bytes(2 * keys.size() * sizeof(size_t)));
  return Sorter(budget, keys, reverse).Run();
}

}  // namespace conclave::tokenizer
