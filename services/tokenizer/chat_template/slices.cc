#include "services/tokenizer/chat_template/slices.h"

#include <algorithm>

#include "services/tokenizer/chat_template/object.h"
#include "services/tokenizer/chat_template/text.h"
#include "services/tokenizer/chat_template/type_names.h"

namespace conclave::tokenizer {
namespace {

struct Slice {
  int64_t start = 0;
  int64_t step = 1;
  int64_t count = 0;
};

Result<int64_t> Bound(const Value& value, int64_t fallback, int64_t length, int64_t step) {
  if (value.IsNone()) return fallback;
  if (!value.IsIntegral()) return InvalidArgument("slice indices must be integers or None");
  int64_t bound = value.AsInt();
  if (bound < 0) bound = bound < -length ? (step < 0 ? -1 : 0) : bound + length;
  return std::min(bound, step < 0 ? length - 1 : length);
}

Result<Slice> Resolve(const Value& start, const Value& stop, const Value& step, int64_t length) {
  Slice slice;
  if (!step.IsNone()) {
    if (!step.IsIntegral()) return InvalidArgument("slice indices must be integers or None");
    slice.step = std::max(step.AsInt(), -INT64_MAX);
    if (slice.step == 0) return InvalidArgument("slice step cannot be zero");
  }
  const bool down = slice.step < 0;
  CONCLAVE_ASSIGN_OR_RETURN(slice.start, Bound(start, down ? length - 1 : 0, length, slice.step));
  CONCLAVE_ASSIGN_OR_RETURN(const int64_t end, Bound(stop, down ? -1 : length, length, slice.step));
  if (down && end < slice.start) slice.count = (slice.start - end - 1) / -slice.step + 1;
  if (!down && slice.start < end) slice.count = (end - slice.start - 1) / slice.step + 1;
  return slice;
}

Result<Value> SliceText(Budget& budget, const Value& object, const Slice& slice) {
  const StringData& text = object.AsStringData();
  std::string out;
  if (slice.step == 1) {
    CONCLAVE_RETURN_IF_ERROR(budget.Text(text.IsAscii() ? 0 : text.bytes.size()));
    const size_t begin = ByteOffset(text, static_cast<size_t>(slice.start));
    const size_t end = ByteOffset(text, static_cast<size_t>(slice.start + slice.count));
    return budget.Text(slice.count == 0 ? std::string() : text.bytes.substr(begin, end - begin),
                       object.IsMarkup());
  }
  CONCLAVE_RETURN_IF_ERROR(budget.Bytes(text.code_points * sizeof(size_t)));
  std::vector<size_t> starts;
  for (size_t at = 0; at < text.bytes.size(); DecodeCodePoint(text.bytes, at)) starts.push_back(at);
  for (int64_t i = 0; i < slice.count; ++i) {
    size_t at = starts[static_cast<size_t>(slice.start + i * slice.step)];
    const size_t begin = at;
    DecodeCodePoint(text.bytes, at);
    out.append(text.bytes, begin, at - begin);
  }
  return budget.Text(std::move(out), object.IsMarkup());
}

}  // namespace

Result<Value> GetSlice(Budget& budget, const Value& object, const Value& start, const Value& stop,
                       const Value& step) {
  if (object.IsUndefined()) return UndefinedError(object);
  const bool range = object.IsObject() && object.AsObject()->kind() == ObjectKind::kRange;
  if (!object.IsString() && !object.IsSequence() && !range) {
    if (object.IsDict()) return InvalidArgument("a dict cannot be sliced");
    return InvalidArgument("'" + TypeName(object) + "' object is not subscriptable");
  }
  CONCLAVE_ASSIGN_OR_RETURN(const Slice slice, Resolve(start, stop, step, LengthOf(object)));
  CONCLAVE_RETURN_IF_ERROR(budget.Step(slice.count / 16));
  if (object.IsString()) return SliceText(budget, object, slice);
  if (range) return Unimplemented("slicing a range is not supported");
  std::vector<Value> items;
  for (int64_t i = 0; i < slice.count; ++i) {
    items.push_back(object.Items()[static_cast<size_t>(slice.start + i * slice.step)]);
  }
  return object.IsTuple() ? budget.Tuple(std::move(items)) : budget.List(std::move(items));
}

}  // namespace conclave::tokenizer
