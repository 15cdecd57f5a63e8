#pragma once

#include <memory>
#include <optional>

#include "services/tokenizer/chat_template/arguments.h"
#include "services/tokenizer/chat_template/iteration.h"
#include "services/tokenizer/chat_template/object.h"

namespace conclave::tokenizer {

/// The variable `loop` of a for loop. Looks one item ahead only when it is asked to, as jinja2 does.
class LoopObject : public Object {
 public:
  /// `length`: of what is gone through, or negative when that has none.
  LoopObject(Budget& budget, std::unique_ptr<ValueIterator> items, int64_t length, int source_depth)
      : Object(ObjectKind::kLoop, source_depth + 1),
        budget_(budget),
        items_(std::move(items)),
        length_(length) {}

  /// Moves to the next item; false at the end.
  Result<bool> Advance(Value& item);

  /// loop.name; nullopt when it has no such attribute. Methods are left to Call.
  Result<std::optional<Value>> Attribute(std::string_view name);
  /// loop.cycle(...) and loop.changed(...).
  Result<Value> Cycle(const Arguments& arguments) const;
  Result<Value> Changed(const Arguments& arguments);

  void Clear() override;

 private:
  Result<bool> Peek();
  Result<int64_t> Length();

  Budget& budget_;
  std::unique_ptr<ValueIterator> items_;
  int64_t length_;
  int64_t index0_ = -1;
  std::optional<Value> after_;
  Value before_;
  Value current_;
  std::optional<Value> last_changed_;
};

}  // namespace conclave::tokenizer
