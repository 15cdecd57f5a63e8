#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <vector>

#include "base/result.h"
#include "engine/files/model_file.h"
#include "engine/kernels/kernels.h"
#include "engine/model/activation_observer.h"
#include "engine/model/architecture.h"
#include "engine/model/expert_layout.h"
#include "engine/parallel/thread_pool.h"
#include "engine/tensor/aligned_vector.h"

namespace conclave::engine {

struct Routing;

/// The normalised input of a feed-forward layer: [tokens, hidden]. `x8` is set when the layer's weights are
/// quantised, `x` when they are not. `routing` is set where the layer is a mixture of experts.
struct FeedForwardInput {
  int64_t tokens = 0;
  const float* x = nullptr;
  const QuantisedRows* x8 = nullptr;
  const Routing* routing = nullptr;
};

/// What one expert computes in a step.
struct ExpertWork {
  int64_t expert = 0;             ///< as LayerExperts counts
  int64_t tokens = 0;             ///< at least 1
  const int32_t* rows = nullptr;  ///< [tokens]: rows of the input, ascending; nullptr: all of them
};

/// Some experts of every feed-forward layer, packed for the kernels, in this process' memory.
class FeedForwardShard {
 public:
  struct Expert {
    PackedMatrix gate, up, down;
    ExpertBiases biases;
    int64_t bytes() const { return gate.bytes() + up.bytes() + down.bytes(); }
  };

  /// Loads `experts` (distinct, at least one; numbered as LayerExperts does) of every layer that has them.
  /// Errors: INVALID_ARGUMENT (a number that no layer has), or what packing reports.
  static Result<std::unique_ptr<FeedForwardShard>> Load(const ModelFile& file,
                                                        const ModelDescription& description,
                                                        std::vector<int64_t> experts, ThreadPool& pool);
  /// All of them. Errors: as Load.
  static Result<std::unique_ptr<FeedForwardShard>> LoadAll(const ModelFile& file,
                                                           const ModelDescription& description,
                                                           ThreadPool& pool);

  /// What was loaded, ascending.
  const std::vector<int64_t>& experts() const { return experts_; }
  int64_t layers() const { return static_cast<int64_t>(layers_.size()); }
  int64_t hidden() const { return hidden_; }
  int64_t weight_bytes() const { return weight_bytes_; }
  /// Which experts the layer has, here and elsewhere.
  LayerExperts shape(int64_t layer) const { return shapes_[layer]; }
  /// nullptr: the expert is not here, or the layer has none of that number.
  const Expert* Find(int64_t layer, int64_t expert) const;
  /// The experts here that every token uses, for all of a step's tokens.
  std::vector<ExpertWork> CommonWork(int64_t layer, int64_t tokens) const;
  /// Whether a layer reads FeedForwardInput::x8 (else x); false where none of its experts is here.
  bool quantised(int64_t layer) const;

  /// Who sees the inputs of the down projections of dense layers from now on, the resident slices side by
  /// side; nullptr: nobody. Not while Compute runs.
  void SetObserver(ActivationObserver* observer) { observer_ = observer; }

  /// The output of each piece of work, one below the other: out is [sum of their tokens, hidden]. Every
  /// expert that is named must be here. An expert's weights are read once, for all of its tokens. Any thread
  /// may call, each with a pool of its own; calls wait for one another.
  void Compute(int64_t layer, const FeedForwardInput& input, std::span<const ExpertWork> work,
               ThreadPool& pool, float* out);

 private:
  /// A piece of work on its way through the layer.
  struct Piece {
    const Expert* expert = nullptr;
    int64_t tokens = 0;
    int64_t width = 0;
    const float* x = nullptr;               ///< [tokens, hidden]
    const QuantisedRows* x8 = nullptr;      ///< the same
    float* inner = nullptr;                 ///< [tokens, width]
    float* up = nullptr;                    ///< the same
    QuantisedRows* inner_blocks = nullptr;  ///< nullptr: the down projection reads floats
    float* out = nullptr;                   ///< [tokens, hidden]
    int64_t groups() const { return (width + kRowGroup - 1) / kRowGroup; }
  };

  Status LoadLayer(const ExpertLayout& layout, int64_t layer);
  void MakePieces(int64_t layer, const FeedForwardInput& input, std::span<const ExpertWork> work, float* out);
  void Gather(const FeedForwardInput& input, std::span<const ExpertWork> work);
  /// Turns columns [first, last) of a token's gate and up products into the inner activations.
  void Activate(const Piece& piece, int64_t token, int64_t first, int64_t last) const;
  void ComputeInner(ThreadPool& pool);
  void QuantiseInner(ThreadPool& pool);
  void ComputeDown(ThreadPool& pool);
  void Observe(int64_t layer);

  std::vector<int64_t> experts_;
  std::vector<LayerExperts> shapes_;                        ///< [layer]
  std::vector<std::vector<std::optional<Expert>>> layers_;  ///< [layer][expert]
  int64_t hidden_ = 0;
  bool clamped_ = false;  ///< FeedForwardKind::kClampedSwiGlu, with its numbers
  float alpha_ = 0.0f, limit_ = 0.0f;
  int64_t weight_bytes_ = 0;
  ActivationObserver* observer_ = nullptr;
  std::mutex compute_mutex_;

  // Of the call that runs, kept for the next one.
  std::vector<Piece> pieces_;
  AlignedVector<float> inner_, up_, gathered_;
  std::vector<QuantisedRows> gathered_blocks_, inner_blocks_;  ///< one a piece
};

}  // namespace conclave::engine
