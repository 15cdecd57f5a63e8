#include "services/tokenizer/chat_template/symbols.h"

namespace conclave::tokenizer {

bool FunctionScope::Admit(int level, const std::string& name) {
  if (slot_count < slot_limit || slots.contains({level, name})) return true;
  overflow = true;
  return false;
}

int FunctionScope::Slot(int level, const std::string& name) {
  const auto [at, inserted] = slots.emplace(std::make_pair(level, name), slot_count);
  if (inserted) ++slot_count;
  return at->second;
}

const Symbols* Symbols::FindOwner(const std::string& name) const {
  for (const Symbols* symbols = this; symbols != nullptr; symbols = symbols->parent_) {
    if (symbols->slots_.contains(name)) return symbols;
  }
  return nullptr;
}

VariableRef Symbols::RefFrom(const FunctionScope& user, const std::string& name) const {
  const Symbols* owner = FindOwner(name);
  if (owner == nullptr) return {};
  return {user.depth - owner->function_->depth, owner->slots_.at(name)};
}

int Symbols::Define(const std::string& name, Variable variable) {
  const int slot = function_->Slot(level_, name);
  slots_[name] = slot;
  variable.name = name;
  variables_[slot] = std::move(variable);
  return slot;
}

void Symbols::Load(const std::string& name) {
  if (FindOwner(name) == nullptr && function_->Admit(level_, name))
    Define(name, {Origin::kFromContext, {}, {}});
}

void Symbols::Store(const std::string& name) {
  if (!function_->Admit(level_, name)) return;
  stores_.insert(name);
  if (slots_.contains(name)) return;
  if (parent_ != nullptr && parent_->FindOwner(name) != nullptr) {
    Define(name, {Origin::kCopy, {}, parent_->RefFrom(*function_, name)});
  } else {
    Define(name, {Origin::kMissing, {}, {}});
  }
}

int Symbols::DeclareParameter(const std::string& name) {
  if (!function_->Admit(level_, name)) return 0;
  stores_.insert(name);
  return Define(name, {Origin::kParameter, {}, {}});
}

void Symbols::MergeBranches(const std::vector<Symbols>& branches) {
  std::set<std::string> added;
  for (const Symbols& branch : branches) {
    for (const std::string& name : branch.stores_) {
      if (!stores_.contains(name)) added.insert(name);
    }
  }
  for (const Symbols& branch : branches) {
    for (const auto& [name, slot] : branch.slots_) slots_[name] = slot;
    for (const auto& [slot, variable] : branch.variables_) variables_[slot] = variable;
    stores_.insert(branch.stores_.begin(), branch.stores_.end());
  }
  for (const std::string& name : added) {
    Variable& variable = variables_[slots_.at(name)];
    const bool outside = parent_ != nullptr && parent_->FindOwner(name) != nullptr;
    variable.name = name;
    variable.origin = outside ? Origin::kCopy : Origin::kFromContext;
    if (outside) variable.source = parent_->RefFrom(*function_, name);
  }
}

FrameInfo Symbols::MakeFrame() const {
  FrameInfo frame;
  for (const auto& [slot, variable] : variables_) {
    frame.leave_slots.push_back(slot);
    if (variable.origin == Origin::kParameter) continue;
    VariableLoad load;
    load.slot = slot;
    load.name = variable.name;
    load.source = variable.source;
    if (variable.origin == Origin::kFromContext) load.action = VariableLoad::Action::kFromContext;
    if (variable.origin == Origin::kCopy) load.action = VariableLoad::Action::kCopy;
    frame.loads.push_back(std::move(load));
  }
  return frame;
}

}  // namespace conclave::tokenizer
