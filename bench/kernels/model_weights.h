#pragma once

#include <cstdint>
#include <random>
#include <vector>

#include "engine/kernels/kernels.h"
#include "engine/kernels/packed_matrix.h"
#include "engine/parallel/thread_pool.h"

namespace conclave::bench {

/// Random weights in the shapes of SmolLM2-135M: layers in one format, the output head in Q8_0.
struct ModelWeights {
  struct Layer {
    engine::PackedMatrix query, key, value, output, gate, up, down;
  };
  std::vector<Layer> layers;
  engine::PackedMatrix head;

  int64_t bytes() const;
  /// Multiplications of one token in the layers.
  int64_t layer_products() const;
};

inline constexpr int64_t kHidden = 576;
inline constexpr int64_t kInner = 1536;
inline constexpr int64_t kKeyValue = 192;
inline constexpr int64_t kVocabulary = 49152;

ModelWeights MakeWeights(engine::DType dtype, int64_t layers);

/// Activations of `tokens` tokens, [tokens, columns], quantised.
engine::QuantisedRows MakeActivations(std::mt19937& random, int64_t tokens, int64_t columns);

/// All products of a step, without what lies between them: 4 parallel regions a layer, and one for the head
/// (of one token; more tokens pass the layers only).
class WeightStream {
 public:
  WeightStream(const ModelWeights& weights, int64_t tokens);
  void Pass(const engine::Kernels& kernels, engine::ThreadPool& pool);

 private:
  void Multiply(const engine::Kernels& kernels, engine::ThreadPool& pool,
                std::initializer_list<const engine::PackedMatrix*> matrices, const engine::QuantisedRows& x);

  const ModelWeights& weights_;
  int64_t tokens_;
  engine::QuantisedRows hidden_, inner_;
  std::vector<float> out_;
};

/// Whether a set gives the reference's bits for the model's shapes and these formats.
bool Validate(const engine::Kernels& kernels, engine::DType dtype);

}  // namespace conclave::bench
