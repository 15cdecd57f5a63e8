#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "engine/tensor/tensor_view.h"

namespace conclave::engine {

/// The tensors of a model file by name: those the engine can compute with, in the order they were added, and
/// why it cannot use the others. Names must be unique; the caller checks.
class TensorDirectory {
 public:
  void Add(TensorView tensor);
  void AddUnusable(std::string name, std::string why) { unusable_.emplace(std::move(name), std::move(why)); }

  const std::vector<TensorView>& tensors() const { return tensors_; }
  const TensorView* Find(std::string_view name) const;
  const std::string* WhyUnusable(std::string_view name) const;

 private:
  std::vector<TensorView> tensors_;
  std::map<std::string, size_t, std::less<>> index_;
  std::map<std::string, std::string, std::less<>> unusable_;
};

}  // namespace conclave::engine
