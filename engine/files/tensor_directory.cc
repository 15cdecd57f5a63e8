#include "engine/files/tensor_directory.h"

#include <utility>

namespace conclave::engine {

void TensorDirectory::Add(TensorView tensor) {
  index_.emplace(tensor.name, tensors_.size());
  tensors_.push_back(std::move(tensor));
}

const TensorView* TensorDirectory::Find(std::string_view name) const {
  const auto found = index_.find(name);
  return found == index_.end() ? nullptr : &tensors_[found->second];
}

const std::string* TensorDirectory::WhyUnusable(std::string_view name) const {
  const auto found = unusable_.find(name);
  return found == unusable_.end() ? nullptr : &found->second;
}

}  // namespace conclave::engine
