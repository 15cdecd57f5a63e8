#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "services/tokenizer/chat_template/ast.h"

namespace conclave::tokenizer {

/// A stretch of the template that runs with an activation of its own: the template itself or a macro.
struct FunctionScope {
  int depth = 0;
  int slot_count = 0;
  /// Sibling blocks of one level share the slots of variables of one name.
  std::map<std::pair<int, std::string>, int> slots;

  /// More variables than this are not taken in, and `overflow` is set: copying them for every `if` would
  /// make compiling quadratic.
  int slot_limit = 0;
  bool overflow = false;

  /// False when there is no room for another variable.
  bool Admit(int level, const std::string& name);
  int Slot(int level, const std::string& name);
};

/// The variables of one block, as jinja2's compiler collects them before it writes any code.
class Symbols {
 public:
  Symbols(FunctionScope& function, const Symbols* parent, int level)
      : function_(&function), parent_(parent), level_(level) {}

  /// The name is read in this block.
  void Load(const std::string& name);
  /// The name is assigned in this block.
  void Store(const std::string& name);
  /// The name gets its value as the block starts. Returns its slot, 0 when there is no room for it.
  int DeclareParameter(const std::string& name);
  /// Takes over what alternatives of one `if` (copies of this) collected.
  void MergeBranches(const std::vector<Symbols>& branches);

  /// The variable that the name means here; the name has been loaded or stored here.
  VariableRef Ref(const std::string& name) const { return RefFrom(*function_, name); }
  FrameInfo MakeFrame() const;

  FunctionScope& function() const { return *function_; }
  int level() const { return level_; }

 private:
  enum class Origin { kParameter, kFromContext, kCopy, kMissing };
  struct Variable {
    Origin origin = Origin::kMissing;
    std::string name;
    VariableRef source;
  };

  const Symbols* FindOwner(const std::string& name) const;
  VariableRef RefFrom(const FunctionScope& user, const std::string& name) const;
  int Define(const std::string& name, Variable variable);

  FunctionScope* function_;
  const Symbols* parent_;
  int level_;
  std::map<std::string, int> slots_;
  std::map<int, Variable> variables_;
  std::set<std::string> stores_;
};

}  // namespace conclave::tokenizer
