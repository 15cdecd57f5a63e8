#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "base/result.h"
#include "engine/files/model_file.h"
#include "engine/kernels/packed_matrix.h"
#include "engine/model/architecture.h"

namespace conclave::engine {

/// A dense feed-forward layer is split along its inner dimension into this many slices whose outputs add up.
/// The number belongs to the model (never to where slices live): the most of 4, 2 and 1 whose width is whole
/// 32-column blocks, and whole blocks of the down projection's format.
int64_t FeedForwardSlices(const ModelFile& file, const ModelDescription& description);

/// The experts of one feed-forward layer, numbered from 0: those that its router chooses among come first,
/// then those that every token uses, which are the slices of a dense layer or the shared expert.
struct LayerExperts {
  int64_t routed = 0;
  int64_t common = 0;
  int64_t total() const { return routed + common; }
};

/// Where a matrix of an expert is: a part of a tensor.
struct ExpertMatrix {
  TensorView tensor;
  int64_t row_begin = 0, row_end = 0;
  int64_t column_begin = 0, column_end = 0;
  std::shared_ptr<const void> memory;  ///< what the tensor points into where that is not the file
};

/// Gate and up projections are [width, hidden], the down projection [hidden, width].
struct ExpertMatrices {
  ExpertMatrix gate, up, down;
};

/// Of an expert's outputs; empty: there are none.
struct ExpertBiases {
  std::vector<float> gate, up, down;
};

/// Which experts a model has, and where its file keeps them. Both must outlive it; every thread may read it.
class ExpertLayout {
 public:
  ExpertLayout(const ModelFile& file, const ModelDescription& description);

  int64_t layers() const { return description_.architecture.layers; }
  int64_t hidden() const { return description_.architecture.hidden; }
  LayerExperts layer(int64_t layer) const;
  /// The most experts that a layer has.
  int64_t most() const;
  /// The inner width of an expert.
  int64_t width(int64_t layer, int64_t expert) const;
  /// Errors: INVALID_ARGUMENT (a tensor is missing).
  Result<ExpertMatrices> matrices(int64_t layer, int64_t expert) const;
  /// Errors: as above.
  Result<ExpertBiases> biases(int64_t layer, int64_t expert) const;
  /// Whether the layer's gate and up projections are quantised. Errors: as above.
  Result<bool> quantised(int64_t layer) const;

 private:
  Result<const TensorView*> Find(const std::string& pattern, int64_t layer, int64_t expert) const;
  Result<ExpertMatrices> Routed(int64_t layer, int64_t expert) const;
  Result<ExpertMatrices> Fused(int64_t layer, int64_t expert) const;

  const ModelFile& file_;
  const ModelDescription& description_;
  const int64_t slices_;  ///< of a dense layer
};

}  // namespace conclave::engine
