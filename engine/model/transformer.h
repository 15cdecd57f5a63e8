#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "base/result.h"
#include "engine/cache/kv_cache.h"
#include "engine/files/model_file.h"
#include "engine/kernels/kernels.h"
#include "engine/model/activation_observer.h"
#include "engine/model/architecture.h"
#include "engine/model/attention.h"
#include "engine/model/feed_forward.h"
#include "engine/model/precise_rows.h"
#include "engine/model/routing.h"
#include "engine/model/sequence_step.h"
#include "engine/parallel/thread_pool.h"
#include "engine/tensor/aligned_vector.h"

namespace conclave::engine {

/// Everything of a decoder-only transformer but its feed-forward layers: embeddings, attention, norms and the
/// output head, as `Architecture` describes them. Used by one thread at a time; the work of a step is shared
/// among the members of a ThreadPool. Results do not depend on which sequences share a step, nor on the
/// number of threads.
class Transformer {
 public:
  /// Packs the weights for this machine's kernels. `file` must outlive the transformer (embeddings
  /// are read from it where they are not the head's rows). Errors: INVALID_ARGUMENT, UNIMPLEMENTED.
  static Result<std::unique_ptr<Transformer>> Load(const ModelFile& file, const ModelDescription& description,
                                                   ThreadPool& pool);

  const Architecture& architecture() const { return architecture_; }
  int64_t weight_bytes() const { return weight_bytes_; }
  const Attention& attention() const { return attention_; }
  const PackedMatrix& head() const { return output_; }
  /// How its keys and values are kept: in the format that is wanted, or, where none is, in no more than half
  /// precision where the weights have less than float32. Errors: as KvLayout::For.
  Result<KvLayout> LayoutOfKv(std::optional<KvFormat> wanted = {}) const {
    return KvLayout::For(architecture_, wanted,
                         output_.kind() == PackedKind::kF32 ? KvFormat::kFloat32 : KvFormat::kBrainPairs);
  }

  /// Who sees the inputs of every product from now on; nullptr: nobody.
  void SetObserver(ActivationObserver* observer) {
    observer_ = observer;
    attention_.SetObserver(observer);
  }

  /// One step over any number of sequences. `logits` receives float32 [sum of logits_rows, vocabulary],
  /// sequences in order. On success every cache has advanced by its tokens; on an error none has, and the
  /// step may be repeated. Errors: INVALID_ARGUMENT (a token id outside the vocabulary, a cache without room,
  /// a position past the context), and what `feed_forward` reports.
  Status Forward(std::span<const SequenceStep> steps, FeedForward& feed_forward, ThreadPool& pool,
                 float* logits);

 private:
  struct Layer {
    std::vector<float> feed_forward_norm;
    PackedMatrix router;                          ///< [experts, hidden] float32, of mixtures
    std::vector<float> router_bias, choice_bias;  ///< empty: none
    PackedMatrix shared_scale;                    ///< [1, hidden] float32, where the shared expert has a gate
    bool feed_forward_quantised = false;
  };

  explicit Transformer(const ModelDescription& description);
  Status LoadLayer(const ModelFile& file, const ModelDescription& description, const ExpertLayout& experts,
                   int64_t index);
  Status CheckSteps(std::span<const SequenceStep> steps) const;
  void Embed(std::span<const SequenceStep> steps, ThreadPool& pool);
  void EmbedToken(int32_t token, float* out) const;
  void Observe(ProductInput input, int64_t layer, const float* x, int64_t rows, int64_t columns);
  void NormRows(const Layer& layer, ThreadPool& pool);
  void Route(const Layer& layer, ThreadPool& pool);
  void Logits(std::span<const SequenceStep> steps, ThreadPool& pool, float* logits);

  Architecture architecture_;
  std::optional<TensorView> embedding_;  ///< in the file; none when the head's rows are the embeddings
  std::vector<float> output_norm_;
  PackedMatrix output_;
  Attention attention_;
  std::vector<Layer> layers_;
  int64_t weight_bytes_ = 0;
  ActivationObserver* observer_ = nullptr;

  // Buffers of the step that runs, kept for the next one. [tokens, ...]
  int64_t tokens_ = 0;
  std::vector<int32_t> embedded_;
  AlignedVector<float> residual_, normed_;
  QuantisedRows blocks_;
  PreciseRows precise_;
  AlignedVector<float> planes_;  ///< [2 * tokens, ...]: see PreciseRows
  AlignedVector<float> router_logits_, shared_logits_;
  Routing routing_;
};

}  // namespace conclave::engine
