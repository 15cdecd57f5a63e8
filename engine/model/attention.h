#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "base/result.h"
#include "engine/files/model_file.h"
#include "engine/kernels/kernels.h"
#include "engine/model/activation_observer.h"
#include "engine/model/architecture.h"
#include "engine/model/latent_projections.h"
#include "engine/model/precise_rows.h"
#include "engine/model/rope.h"
#include "engine/model/sequence_step.h"
#include "engine/parallel/thread_pool.h"
#include "engine/tensor/aligned_vector.h"

namespace conclave::engine {

/// The attention of every layer of a transformer, from the norm before it to the sum behind it, as
/// `Architecture` describes it. Used by one thread at a time; the work of a step is shared among the members
/// of a ThreadPool. Results do not depend on which sequences share a step, nor on the number of threads.
class Attention {
 public:
  explicit Attention(const Architecture& architecture);

  /// Packs a layer's weights. Different layers may be loaded by different threads. Errors: INVALID_ARGUMENT,
  /// or what packing reports.
  Status LoadLayer(const ModelFile& file, const ModelDescription& description, int64_t index);

  /// Of all matrices.
  int64_t weight_bytes() const;
  /// The packed matrices, for measuring; they live as long as this.
  struct Matrices {
    std::vector<const PackedMatrix*> inputs;  ///< which read the layer's input
    std::vector<const PackedMatrix*> latent;  ///< LatentProjections'
    const PackedMatrix& output;
  };
  Matrices matrices(int64_t layer) const;

  /// Who sees the inputs of every product from now on; nullptr: nobody.
  void SetObserver(ActivationObserver* observer) { observer_ = observer; }

  /// Prepares for a step, which its layers follow: `steps` must live as long.
  void Begin(std::span<const SequenceStep> steps, ThreadPool& pool);
  /// Adds a layer's attention to `residual` [tokens, hidden], and writes the tokens' keys and values.
  void AddTo(int64_t layer, ThreadPool& pool, float* residual);

 private:
  struct Layer {
    std::vector<float> norm;
    PackedMatrix query, key, value,
        output;  ///< with a latent: to the queries or their latent, to the latent, none
    std::optional<LatentProjections> latent;
    std::vector<float> query_bias, key_bias, value_bias, output_bias;
    std::vector<float> query_norm, key_norm;  ///< empty: none
    std::vector<float> sinks;                 ///< [query_heads]; empty: none
    bool quantised = false;                   ///< Some of query, key and value read 8-bit blocks.
  };
  /// One unit of work: some rows of one sequence for some heads that share a key-value head.
  struct Work;

  Status LoadBiases(const ModelFile& file, const WeightNames& names, int64_t index);
  Status LoadNorms(const ModelFile& file, const WeightNames& names, int64_t index);
  void Observe(ProductInput input, int64_t layer, const float* x, int64_t columns);
  void Norm(const Layer& layer, const float* residual, ThreadPool& pool);
  void Project(const Layer& layer, ThreadPool& pool);
  void ProjectQueryLatent(const Layer& layer, ThreadPool& pool);
  void NormLatent(const Layer& layer, int64_t row);
  void NormAndClip(const Layer& layer, int64_t row);
  void RotateAndStore(int64_t index, ThreadPool& pool);
  void Rotate(int64_t row);
  void StoreHead(int64_t layer, const KvSequence& cache, int64_t position, int64_t head, bool values,
                 const float* x);
  std::vector<Work> Share() const;
  void Attend(int64_t layer, ThreadPool& pool);
  void AttendTo(int64_t layer, const Work& unit, std::vector<const std::byte*>& keys,
                std::vector<const std::byte*>& values);
  void ProjectOutput(const Layer& layer, ThreadPool& pool, float* residual);

  Architecture architecture_;
  std::vector<Layer> layers_;
  RopeTable rope_;
  ActivationObserver* observer_ = nullptr;

  // Of the step that runs, kept for the next one. [tokens, ...]
  std::span<const SequenceStep> steps_;
  int64_t tokens_ = 0;
  AlignedVector<float> normed_, query_, key_, value_, attended_, cos_sin_;
  /// With a latent: the queries' latents, the queries in the latent space and their sums of latents.
  AlignedVector<float> query_latent_, latent_query_, latent_sum_;
  QuantisedRows blocks_;
  PreciseRows precise_;
  AlignedVector<float> planes_;  ///< [2 * tokens, ...]: see PreciseRows
};

}  // namespace conclave::engine
