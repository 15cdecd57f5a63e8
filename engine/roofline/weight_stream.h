#pragma once

#include <cstdint>
#include <map>
#include <vector>

#include "base/result.h"
#include "engine/kernels/kernels.h"
#include "engine/model/language_model.h"
#include "engine/model/precise_rows.h"
#include "engine/tensor/aligned_vector.h"

namespace conclave::engine {

/// The bare weight stream of one decoded token: every matrix of a model once through the kernels, in the
/// parallel regions that the data flow needs (query, key and value; attention output; gate and up; down; the
/// head last), and nothing between them: no attention, norm, activation or sampling. Inputs are fixed
/// numbers; query, key, value and head take two 8-bit planes, as in the forward pass. A decoder of this model
/// can at most be as fast. Used by one thread at a time.
class WeightStream {
 public:
  /// `model` must outlive the stream.
  explicit WeightStream(const LanguageModel& model, const Kernels& kernels = BestKernels());

  /// Bytes of packed weights that one pass reads.
  int64_t bytes() const;
  int64_t regions() const { return static_cast<int64_t>(regions_.size()); }
  /// Multiplications of one token in 8-bit and in floating-point matrices; `head`: of the output head, else
  /// of the layers. Planes are not counted: they are this engine's choice.
  struct Products {
    int64_t int8 = 0;
    int64_t floats = 0;
  };
  Products CountProducts(bool head) const;

  /// Runs every region as Pass does and compares all it wrote with the reference kernels. Takes seconds for a
  /// large model. Errors: INTERNAL (another bit pattern, or rows that were left out).
  Status Validate(ThreadPool& pool);

  void Pass(ThreadPool& pool);

 private:
  struct Part {
    const PackedMatrix* matrix;
    int64_t planes;  ///< rows of activations: 1, or 2 for PreciseRows
  };
  using Region = std::vector<Part>;
  struct Input {
    std::vector<float> x;
    QuantisedRows blocks;
    PreciseRows precise;
  };

  void AddRegion(std::vector<Part> parts);
  void Run(const Region& region, const Kernels& kernels, ThreadPool& pool, float* out);

  const Kernels& kernels_;
  std::vector<Region> regions_;      ///< in the order of the data flow; the head is the last
  std::map<int64_t, Input> inputs_;  ///< by width
  AlignedVector<float> out_;
};

}  // namespace conclave::engine
