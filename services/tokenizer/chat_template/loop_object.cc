#include "services/tokenizer/chat_template/loop_object.h"

#include "services/tokenizer/chat_template/type_names.h"

namespace conclave::tokenizer {

Result<bool> LoopObject::Advance(Value& item) {
  if (after_) {
    item = std::move(*after_);
    after_.reset();
  } else {
    CONCLAVE_ASSIGN_OR_RETURN(const bool more, items_->Next(item));
    if (!more) return false;
  }
  ++index0_;
  before_ = std::move(current_);
  current_ = item;
  return true;
}

Result<bool> LoopObject::Peek() {
  if (after_) return true;
  Value item;
  CONCLAVE_ASSIGN_OR_RETURN(const bool more, items_->Next(item));
  if (more) after_ = std::move(item);
  return more;
}

Result<int64_t> LoopObject::Length() {
  if (length_ >= 0) return length_;
  std::vector<Value> rest;
  Value item;
  while (true) {
    CONCLAVE_ASSIGN_OR_RETURN(const bool more, items_->Next(item));
    if (!more) break;
    CONCLAVE_RETURN_IF_ERROR(budget_.Bytes(sizeof(Value)));
    rest.push_back(std::move(item));
  }
  length_ = static_cast<int64_t>(rest.size()) + index0_ + 1 + (after_ ? 1 : 0);
  CONCLAVE_ASSIGN_OR_RETURN(items_, Iterate(budget_, Value::List(std::move(rest))));
  return length_;
}

Result<std::optional<Value>> LoopObject::Attribute(std::string_view name) {
  using Found = std::optional<Value>;
  if (name == "index") return Found(Value::Int(index0_ + 1));
  if (name == "index0") return Found(Value::Int(index0_));
  if (name == "first") return Found(Value::Bool(index0_ == 0));
  if (name == "depth") return Found(Value::Int(1));
  if (name == "depth0") return Found(Value::Int(0));
  if (name == "previtem")
    return Found(index0_ == 0 ? UndefinedBecause("there is no previous item") : before_);
  if (name == "last" || name == "nextitem") {
    CONCLAVE_ASSIGN_OR_RETURN(const bool more, Peek());
    if (name == "last") return Found(Value::Bool(!more));
    return Found(more ? *after_ : UndefinedBecause("there is no next item"));
  }
  if (name == "length" || name == "revindex" || name == "revindex0") {
    CONCLAVE_ASSIGN_OR_RETURN(const int64_t length, Length());
    if (name == "length") return Found(Value::Int(length));
    return Found(Value::Int(name == "revindex" ? length - index0_ : length - index0_ - 1));
  }
  return Found();
}

Result<Value> LoopObject::Cycle(const Arguments& arguments) const {
  if (!arguments.named.empty()) return InvalidArgument("cycle() takes no named arguments");
  if (arguments.positional.empty()) return InvalidArgument("no items for cycling given");
  return arguments.positional[static_cast<size_t>(index0_) % arguments.positional.size()];
}

Result<Value> LoopObject::Changed(const Arguments& arguments) {
  if (!arguments.named.empty()) return InvalidArgument("changed() takes no named arguments");
  CONCLAVE_ASSIGN_OR_RETURN(Value given, budget_.Tuple(arguments.positional));
  if (last_changed_) {
    CONCLAVE_ASSIGN_OR_RETURN(const bool equal, budget_.Equal(*last_changed_, given));
    if (equal) return Value::Bool(false);
  }
  last_changed_ = std::move(given);
  return Value::Bool(true);
}

void LoopObject::Clear() {
  items_.reset();
  after_.reset();
  last_changed_.reset();
  before_ = Value();
  current_ = Value();
}

}  // namespace conclave::tokenizer
