#pragma once

#include <cstdint>
#include <vector>

#include "base/result.h"
#include "engine/files/model_file.h"
#include "engine/kernels/kernels.h"
#include "engine/model/architecture.h"
#include "engine/parallel/thread_pool.h"

namespace conclave::engine {

/// What multi-head latent attention (arXiv 2405.04434, section 2.1) has beside the products that read a
/// layer's input. Keys and values of the heads are never computed: a head's score q . (K c) is (K^T q) . c,
/// and its output the sum of weights times V c, which is V times the sum of weights times c. So queries are
/// taken into the latent space before attention and outputs out of it behind, and one latent c a token is key
/// and value of all heads.
///
/// K and V are float32 whatever their format: they are applied to queries and sums, which nothing has
/// rounded. Immutable once loaded.
class LatentProjections {
 public:
  /// Errors: INVALID_ARGUMENT (missing), or what packing reports.
  static Result<LatentProjections> Load(const ModelFile& file, const ModelDescription& description,
                                        int64_t layer);

  int64_t bytes() const;
  /// All matrices, for measuring.
  std::vector<const PackedMatrix*> matrices() const;

  /// Of queries that have a latent of their own: from it to all heads [query_heads * head_dim, query_rank],
  /// and the norm of that latent. Empty: there is none.
  const PackedMatrix& query_up() const { return query_up_; }
  const std::vector<float>& query_norm() const { return query_norm_; }
  /// [kv_rank]: of the norm of the latent.
  const std::vector<float>& latent_norm() const { return latent_norm_; }

  /// queries [tokens, query_heads, head_dim], their last rope_dims numbers rotated, to out [tokens,
  /// query_heads, kv_rank + rope_dims].
  void TakeIn(const Architecture& a, const float* queries, int64_t tokens, ThreadPool& pool,
              float* out) const;
  /// sums [tokens, query_heads, kv_rank] to out [tokens, query_heads, value_dim].
  void TakeOut(const Architecture& a, const float* sums, int64_t tokens, ThreadPool& pool, float* out) const;

 private:
  PackedMatrix query_up_;
  std::vector<float> query_norm_, latent_norm_;
  std::vector<PackedMatrix> key_;    ///< [query_heads]: K^T without the rotated part, [kv_rank, plain_dim]
  std::vector<PackedMatrix> value_;  ///< [query_heads]: V [value_dim, kv_rank]
};

}  // namespace conclave::engine
