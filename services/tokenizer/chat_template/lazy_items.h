#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "services/tokenizer/chat_template/iteration.h"

namespace conclave::tokenizer {

/// Items that are all made when the first one is asked for, and never if none is.
class LazyItems : public ValueIterator {
 public:
  using Make = std::function<Result<std::vector<Value>>()>;
  explicit LazyItems(Make make) : make_(std::move(make)) {}

  Result<bool> Next(Value& item) override {
    if (make_) {
      const Make make = std::exchange(make_, nullptr);
      CONCLAVE_ASSIGN_OR_RETURN(items_, make());
    }
    if (at_ >= items_.size()) return false;
    item = items_[at_++];
    return true;
  }

 private:
  Make make_;
  std::vector<Value> items_;
  size_t at_ = 0;
};

}  // namespace conclave::tokenizer
