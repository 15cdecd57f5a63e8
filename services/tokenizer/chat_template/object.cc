#include "services/tokenizer/chat_template/object.h"

#include "services/tokenizer/chat_template/iteration.h"

namespace conclave::tokenizer {
namespace {

int64_t RangeSize(int64_t start, int64_t stop, int64_t step) {
  if (step > 0 ? start >= stop : start <= stop) return 0;
  // In unsigned arithmetic the distance of any two int64 fits.
  const uint64_t distance = step > 0 ? static_cast<uint64_t>(stop) - static_cast<uint64_t>(start)
                                     : static_cast<uint64_t>(start) - static_cast<uint64_t>(stop);
  const uint64_t stride = step > 0 ? static_cast<uint64_t>(step) : 0 - static_cast<uint64_t>(step);
  const uint64_t size = (distance - 1) / stride + 1;
  return size > uint64_t{INT64_MAX} ? INT64_MAX : static_cast<int64_t>(size);
}

}  // namespace

const Value* NamespaceObject::Find(std::string_view name) const {
  const auto found = index_.find(name);
  return found == index_.end() || found->second >= attributes_.size() ? nullptr
                                                                      : &attributes_[found->second].second;
}

void NamespaceObject::Set(std::string_view name, Value value) {
  const auto [at, inserted] = index_.emplace(std::string(name), attributes_.size());
  if (inserted) {
    attributes_.emplace_back(std::string(name), std::move(value));
  } else {
    attributes_[at->second].second = std::move(value);
  }
}

RangeObject::RangeObject(int64_t start, int64_t stop, int64_t step)
    : Object(ObjectKind::kRange),
      start_(start),
      stop_(stop),
      step_(step),
      size_(RangeSize(start, stop, step)) {}

Value DictViewObject::At(size_t index) const {
  const auto& [key, value] = dict().entries[index];
  switch (part_) {
    case DictPart::kKeys: return key;
    case DictPart::kValues: return value;
    case DictPart::kItems: return Value::Tuple({key, value});
  }
  return {};
}

IteratorObject::IteratorObject(std::unique_ptr<ValueIterator> items, int depth)
    : Object(ObjectKind::kIterator, depth), items_(std::move(items)) {}

IteratorObject::~IteratorObject() = default;

}  // namespace conclave::tokenizer
