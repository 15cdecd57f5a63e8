#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <vector>

#include "base/result.h"
#include "engine/files/model_file.h"
#include "engine/kernels/kernels.h"
#include "engine/model/activation_observer.h"
#include "engine/model/architecture.h"
#include "engine/parallel/thread_pool.h"
#include "engine/tensor/aligned_vector.h"

namespace conclave::engine {

/// A dense feed-forward layer is split along its inner dimension into this many slices whose outputs add up.
/// The number belongs to the model (never to where slices live): the most of 4, 2 and 1 whose width is whole
/// 32-column blocks, and whole blocks of the down projection's format.
int64_t FeedForwardSlices(const ModelFile& file, const ModelDescription& description);

/// The normalised input of a feed-forward layer: [tokens, hidden]. `x8` is set when the layer's weights are
/// quantised, `x` when they are not.
struct FeedForwardInput {
  int64_t tokens = 0;
  const float* x = nullptr;
  const QuantisedRows* x8 = nullptr;
};

/// Whatever computes a model's feed-forward layers: this process, or shards elsewhere.
class FeedForward {
 public:
  virtual ~FeedForward() = default;

  /// Adds the layer's output to `residual` [tokens, hidden]: all slices are added up in slice order in
  /// float32, and their sum to the residual. One call at a time. Errors: UNAVAILABLE, DEADLINE_EXCEEDED (a
  /// slice has no home); `residual` is then unchanged.
  virtual Status AddTo(int64_t layer, const FeedForwardInput& input, ThreadPool& pool, float* residual) = 0;
};

/// Some slices of every feed-forward layer, packed for the kernels, in this process' memory.
class FeedForwardShard {
 public:
  struct Slice {
    PackedMatrix gate, up, down;
  };

  /// Loads `slices` (distinct, each in [0, FeedForwardSlices)). Errors: INVALID_ARGUMENT, or what packing
  /// reports.
  static Result<std::unique_ptr<FeedForwardShard>> Load(const ModelFile& file,
                                                        const ModelDescription& description,
                                                        std::vector<int64_t> slices, ThreadPool& pool);

  const std::vector<int64_t>& slices() const { return slices_; }
  int64_t layers() const { return static_cast<int64_t>(layers_.size()); }
  int64_t hidden() const { return hidden_; }
  int64_t weight_bytes() const { return weight_bytes_; }
  /// A layer's packed matrices, one entry a resident slice, for measuring.
  std::span<const Slice> matrices(int64_t layer) const { return layers_[layer]; }
  /// Whether a layer reads FeedForwardInput::x8 (else x).
  bool quantised(int64_t layer) const;

  /// Who sees the inputs of the down projection from now on, the resident slices side by side; nullptr:
  /// nobody. Not while Compute runs.
  void SetObserver(ActivationObserver* observer) { observer_ = observer; }

  /// The output of each resident slice, in slice order: out is [slices, tokens, hidden]. Any thread may call,
  /// each with a pool of its own; calls wait for one another.
  void Compute(int64_t layer, const FeedForwardInput& input, ThreadPool& pool, float* out);

 private:
  void ComputeInner(const Slice& slice, const FeedForwardInput& input, int64_t begin, int64_t end,
                    float* inner, float* up) const;
  void Observe(int64_t layer, int64_t tokens);

  std::vector<int64_t> slices_;
  std::vector<std::vector<Slice>> layers_;  ///< [layer][resident slice]
  int64_t hidden_ = 0;
  int64_t slice_width_ = 0;
  int64_t weight_bytes_ = 0;
  ActivationObserver* observer_ = nullptr;
  std::mutex compute_mutex_;
  AlignedVector<float> inner_;               ///< [slices][tokens][slice_width]
  AlignedVector<float> up_;                  ///< the same
  std::vector<QuantisedRows> inner_blocks_;  ///< one a slice
};

/// Sums slice outputs [slices, tokens, hidden] in order, and adds the sum to `residual`.
void AddSlices(const float* outputs, int64_t slices, int64_t tokens, int64_t hidden, ThreadPool& pool,
               float* residual);

/// All slices here, by function call.
class LocalFeedForward : public FeedForward {
 public:
  explicit LocalFeedForward(std::shared_ptr<FeedForwardShard> shard) : shard_(std::move(shard)) {}
  Status AddTo(int64_t layer, const FeedForwardInput& input, ThreadPool& pool, float* residual) override;

 private:
  std::shared_ptr<FeedForwardShard> shard_;
  AlignedVector<float> outputs_;
};

}  // namespace conclave::engine
