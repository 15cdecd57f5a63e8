#include <algorithm>
#include <deque>
#include <set>

#include "services/tokenizer/chat_template/filters.h"
#include "services/tokenizer/chat_template/interpreter.h"
#include "services/tokenizer/chat_template/operators.h"
#include "services/tokenizer/chat_template/type_names.h"

namespace conclave::tokenizer {
namespace {

/// What map, select and unique have in common: they pull from a source one by one, and a false source has
/// no items whatever it is.
class SourceItems : public ValueIterator {
 public:
  SourceItems(Interpreter& interpreter, Value source)
      : interpreter_(interpreter), source_(std::move(source)) {}

 protected:
  Result<bool> Pull(Value& item) {
    if (!items_) {
      if (!IsTrue(source_)) return false;
      CONCLAVE_ASSIGN_OR_RETURN(items_, Iterate(interpreter_.budget(), source_));
    }
    return items_->Next(item);
  }

  Interpreter& interpreter_;
  Value source_;

 private:
  std::unique_ptr<ValueIterator> items_;
};

class MappedItems : public SourceItems {
 public:
  MappedItems(Interpreter& interpreter, const Value& source, Arguments arguments)
      : SourceItems(interpreter, source), arguments_(std::move(arguments)) {}

  Result<bool> Next(Value& item) override {
    if (!IsTrue(source_)) return false;
    CONCLAVE_RETURN_IF_ERROR(Prepare());
    CONCLAVE_ASSIGN_OR_RETURN(const bool more, Pull(item));
    if (!more) return false;
    if (attribute_) {
      const Value* fallback = fallback_.IsNone() ? nullptr : &fallback_;
      CONCLAVE_ASSIGN_OR_RETURN(item, LookUpPath(interpreter_, item, *attribute_, false, fallback));
    } else {
      CONCLAVE_ASSIGN_OR_RETURN(item, interpreter_.ApplyFilter(filter_, item, arguments_));
    }
    return true;
  }

 private:
  Status Prepare() {
    if (std::exchange(prepared_, true)) return Status::Ok();
    const bool by_attribute = arguments_.positional.empty() &&
                              std::any_of(arguments_.named.begin(), arguments_.named.end(),
                                          [](const auto& entry) { return entry.first == "attribute"; });
    if (by_attribute) {
      CONCLAVE_ASSIGN_OR_RETURN(auto bound, Bind("map", arguments_, {"attribute", "default"}));
      attribute_ = bound[0];
      fallback_ = bound[1].value_or(Value());
      return Status::Ok();
    }
    if (arguments_.positional.empty()) return InvalidArgument("map requires a filter argument");
    if (!arguments_.positional[0].IsString()) return InvalidArgument("map needs the name of a filter");
    filter_ = arguments_.positional[0].AsString();
    arguments_.positional.erase(arguments_.positional.begin());
    return Status::Ok();
  }

  Arguments arguments_;
  bool prepared_ = false;
  std::string filter_;
  std::optional<Value> attribute_;
  Value fallback_;
};

class SelectedItems : public SourceItems {
 public:
  SelectedItems(Interpreter& interpreter, const Value& source, Arguments arguments, bool keep,
                bool by_attribute)
      : SourceItems(interpreter, source),
        arguments_(std::move(arguments)),
        keep_(keep),
        by_attribute_(by_attribute) {}

  Result<bool> Next(Value& item) override {
    if (!IsTrue(source_)) return false;
    CONCLAVE_RETURN_IF_ERROR(Prepare());
    while (true) {
      CONCLAVE_ASSIGN_OR_RETURN(const bool more, Pull(item));
      if (!more) return false;
      Value tested = item;
      if (by_attribute_) {
        CONCLAVE_ASSIGN_OR_RETURN(tested, LookUpPath(interpreter_, item, attribute_, false, nullptr));
      }
      bool holds = IsTrue(tested);
      if (test_) {
        CONCLAVE_ASSIGN_OR_RETURN(holds, interpreter_.ApplyTest(*test_, tested, arguments_));
      }
      if (holds == keep_) return true;
    }
  }

 private:
  Status Prepare() {
    if (std::exchange(prepared_, true)) return Status::Ok();
    auto& positional = arguments_.positional;
    if (by_attribute_) {
      if (positional.empty()) return InvalidArgument("missing parameter for attribute name");
      attribute_ = positional[0];
      positional.erase(positional.begin());
    }
    if (positional.empty()) return Status::Ok();
    if (!positional[0].IsString()) return InvalidArgument("a selection needs the name of a test");
    test_ = std::string(positional[0].AsString());
    positional.erase(positional.begin());
    return Status::Ok();
  }

  Arguments arguments_;
  bool keep_;
  bool by_attribute_;
  bool prepared_ = false;
  Value attribute_;
  std::optional<std::string> test_;
};

class UniqueItems : public SourceItems {
 public:
  UniqueItems(Interpreter& interpreter, const Value& source, bool case_sensitive, Value attribute)
      : SourceItems(interpreter, source), case_sensitive_(case_sensitive), attribute_(std::move(attribute)) {}

  Result<bool> Next(Value& item) override {
    if (!IsIterable(source_)) return InvalidArgument("'" + TypeName(source_) + "' object is not iterable");
    while (true) {
      CONCLAVE_ASSIGN_OR_RETURN(const bool more, Pull(item));
      if (!more) return false;
      CONCLAVE_ASSIGN_OR_RETURN(Value key,
                                LookUpPath(interpreter_, item, attribute_, !case_sensitive_, nullptr));
      if (!IsDictKey(key)) return InvalidArgument("unhashable type: '" + TypeName(key) + "'");
      CONCLAVE_RETURN_IF_ERROR(interpreter_.budget().Bytes(2 * sizeof(Value)));
      keys_.push_back(std::move(key));
      if (seen_.insert(&keys_.back()).second) return true;
      keys_.pop_back();
    }
  }

 private:
  bool case_sensitive_;
  Value attribute_;
  std::deque<Value> keys_;
  std::set<const Value*, KeyLess> seen_;
};

Result<Value> MapFilter(Interpreter& interpreter, const Value& input, const Arguments& arguments) {
  return MakeIterator(interpreter.budget(), std::make_unique<MappedItems>(interpreter, input, arguments),
                      input.Depth());
}

template <bool kKeep, bool kByAttribute>
Result<Value> SelectFilter(Interpreter& interpreter, const Value& input, const Arguments& arguments) {
  return MakeIterator(interpreter.budget(),
                      std::make_unique<SelectedItems>(interpreter, input, arguments, kKeep, kByAttribute),
                      input.Depth());
}

Result<Value> UniqueFilter(Interpreter& interpreter, const Value& input, const Arguments& arguments) {
  CONCLAVE_ASSIGN_OR_RETURN(auto bound, Bind("unique", arguments, {"case_sensitive", "attribute"}));
  const bool case_sensitive = bound[0] && IsTrue(*bound[0]);
  return MakeIterator(
      interpreter.budget(),
      std::make_unique<UniqueItems>(interpreter, input, case_sensitive, bound[1].value_or(Value())),
      input.Depth());
}

}  // namespace

const FilterTable& SelectionFilters() {
  static const FilterTable table = {{"map", MapFilter},
                                    {"select", SelectFilter<true, false>},
                                    {"reject", SelectFilter<false, false>},
                                    {"selectattr", SelectFilter<true, true>},
                                    {"rejectattr", SelectFilter<false, true>},
                                    {"unique", UniqueFilter}};
  return table;
}

}  // namespace conclave::tokenizer
