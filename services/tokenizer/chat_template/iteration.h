#pragma once

#include <memory>
#include <vector>

#include "base/result.h"
#include "services/tokenizer/chat_template/budget.h"

namespace conclave::tokenizer {

/// Gives the items of something one after the other, each made when it is asked for, as Python's iterators.
class ValueIterator {
 public:
  virtual ~ValueIterator() = default;
  /// False at the end.
  virtual Result<bool> Next(Value& item) = 0;
};

/// iter(value). INVALID_ARGUMENT for a value that has no items. `budget` outlives the iterator.
Result<std::unique_ptr<ValueIterator>> Iterate(Budget& budget, const Value& value);

/// Whether Iterate succeeds.
bool IsIterable(const Value& value);

/// All items, list(value).
Result<std::vector<Value>> AllItems(Budget& budget, const Value& value);

/// reversed(value); INVALID_ARGUMENT where Python has no such thing.
Result<std::unique_ptr<ValueIterator>> IterateReversed(Budget& budget, const Value& value);

/// item in container.
Result<bool> Contains(Budget& budget, const Value& container, const Value& item);

/// A value of type generator.
Result<Value> MakeIterator(Budget& budget, std::unique_ptr<ValueIterator> items, int source_depth);

}  // namespace conclave::tokenizer
