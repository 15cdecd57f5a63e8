#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "services/tokenizer/chat_template/value.h"

namespace conclave::tokenizer {

struct Activation;
struct Statement;
class ValueIterator;

enum class ObjectKind {
  kNamespace,
  kMacro,
  kFunction,
  kMethod,
  kRange,
  kDictView,
  kIterator,
  kLoop,
  kCycler,
  kJoiner
};

/// What a template handles that is not plain data. Lives for one rendering, on one thread.
class Object {
 public:
  explicit Object(ObjectKind kind, int depth = 0) : kind_(kind), depth_(depth) {}
  virtual ~Object() = default;
  Object(const Object&) = delete;
  Object& operator=(const Object&) = delete;

  ObjectKind kind() const { return kind_; }
  /// Value::Depth() of a value that holds this.
  int depth() const { return depth_; }
  /// Lets go of every value, so that objects that hold one another are freed.
  virtual void Clear() {}

 private:
  ObjectKind kind_;
  int depth_;
};

/// namespace(): the one thing in a template that can be changed.
class NamespaceObject : public Object {
 public:
  NamespaceObject() : Object(ObjectKind::kNamespace) {}
  const Value* Find(std::string_view name) const;
  void Set(std::string_view name, Value value);
  const std::vector<std::pair<std::string, Value>>& attributes() const { return attributes_; }
  void Clear() override { attributes_.clear(); }

 private:
  std::vector<std::pair<std::string, Value>> attributes_;
  std::map<std::string, size_t, std::less<>> index_;
};

/// A macro, or the body of a call block, with the variables that it sees.
class MacroObject : public Object {
 public:
  MacroObject(const Statement& definition, std::shared_ptr<Activation> closure)
      : Object(ObjectKind::kMacro), definition_(definition), closure_(std::move(closure)) {}
  const Statement& definition() const { return definition_; }
  const std::shared_ptr<Activation>& closure() const { return closure_; }

 private:
  const Statement& definition_;
  std::shared_ptr<Activation> closure_;
};

enum class FunctionId { kRange, kDict, kNamespace, kCycler, kJoiner, kLipsum, kRaiseException, kStrftimeNow };

class FunctionObject : public Object {
 public:
  explicit FunctionObject(FunctionId id) : Object(ObjectKind::kFunction), id_(id) {}
  FunctionId id() const { return id_; }

 private:
  FunctionId id_;
};

/// A method together with the value it was taken from.
class MethodObject : public Object {
 public:
  MethodObject(Value self, std::string name)
      : Object(ObjectKind::kMethod, self.Depth() + 1), self_(std::move(self)), name_(std::move(name)) {}
  const Value& self() const { return self_; }
  const std::string& name() const { return name_; }

 private:
  Value self_;
  std::string name_;
};

class RangeObject : public Object {
 public:
  RangeObject(int64_t start, int64_t stop, int64_t step);
  int64_t start() const { return start_; }
  int64_t stop() const { return stop_; }
  int64_t step() const { return step_; }
  int64_t Size() const { return size_; }
  int64_t At(int64_t index) const { return start_ + index * step_; }

 private:
  int64_t start_;
  int64_t stop_;
  int64_t step_;
  int64_t size_;
};

enum class DictPart { kKeys, kValues, kItems };

/// dict.keys(), dict.values() or dict.items().
class DictViewObject : public Object {
 public:
  DictViewObject(Value dict, DictPart part)
      : Object(ObjectKind::kDictView, dict.Depth() + 1), dict_(std::move(dict)), part_(part) {}
  const DictData& dict() const { return dict_.AsDict(); }
  DictPart part() const { return part_; }
  Value At(size_t index) const;

 private:
  Value dict_;
  DictPart part_;
};

/// A generator or another iterator of Python: gives each of its items once.
class IteratorObject : public Object {
 public:
  IteratorObject(std::unique_ptr<ValueIterator> items, int depth);
  ~IteratorObject() override;
  ValueIterator& items() { return *items_; }

 private:
  std::unique_ptr<ValueIterator> items_;
};

class CyclerObject : public Object {
 public:
  CyclerObject(std::vector<Value> items, int depth)
      : Object(ObjectKind::kCycler, depth), items(std::move(items)) {}
  const std::vector<Value> items;
  size_t position = 0;
};

class JoinerObject : public Object {
 public:
  explicit JoinerObject(Value separator) : Object(ObjectKind::kJoiner), separator(std::move(separator)) {}
  const Value separator;
  bool used = false;
};

}  // namespace conclave::tokenizer
