#include "engine/model/latent_projections.h"

#include <algorithm>
#include <string>

#include "engine/model/load_weights.h"
#include "engine/tensor/transpose.h"

namespace conclave::engine {
namespace {

using Numbers = std::vector<float>;

/// The numbers of K^T and V of one head, in files that hold K and V of all heads together or apart.
class HeadNumbers {
 public:
  static Result<HeadNumbers> Load(const ModelFile& file, const ModelDescription& description, int64_t layer) {
    const WeightNames& names = description.names;
    const LatentAttention& latent = description.architecture.latent;
    HeadNumbers out(description.architecture);
    const auto name = [&](const std::string& pattern) { return WeightNames::ForLayer(pattern, layer); };
    if (!names.latent_both.empty()) {
      CONCLAVE_ASSIGN_OR_RETURN(out.both_, LoadNumbers(file, name(names.latent_both), latent.kv_rank));
      return out;
    }
    CONCLAVE_ASSIGN_OR_RETURN(out.keys_, LoadNumbers(file, name(names.latent_key), out.plain_dim_));
    CONCLAVE_ASSIGN_OR_RETURN(out.values_, LoadNumbers(file, name(names.latent_value), latent.kv_rank));
    return out;
  }

  /// [kv_rank, plain_dim]
  Numbers Key(int64_t head) const {
    const int64_t size = plain_dim_ * latent_.kv_rank;
    if (both_.empty()) return {keys_.begin() + head * size, keys_.begin() + (head + 1) * size};
    return Transposed(both_.data() + head * both_size(), plain_dim_, latent_.kv_rank);
  }
  /// [value_dim, kv_rank]
  Numbers Value(int64_t head) const {
    const int64_t size = latent_.value_dim * latent_.kv_rank;
    const Numbers& from = both_.empty() ? values_ : both_;
    const int64_t first = both_.empty() ? head * size : head * both_size() + plain_dim_ * latent_.kv_rank;
    return {from.begin() + first, from.begin() + first + size};
  }

 private:
  explicit HeadNumbers(const Architecture& a) : latent_(a.latent), plain_dim_(a.head_dim - a.rope_dims) {}
  int64_t both_size() const { return (plain_dim_ + latent_.value_dim) * latent_.kv_rank; }

  LatentAttention latent_;
  int64_t plain_dim_;
  Numbers both_, keys_, values_;
};

}  // namespace

Result<LatentProjections> LatentProjections::Load(const ModelFile& file, const ModelDescription& description,
                                                  int64_t layer) {
  const Architecture& a = description.architecture;
  const WeightNames& names = description.names;
  const auto name = [&](const std::string& pattern) { return WeightNames::ForLayer(pattern, layer); };
  LatentProjections out;
  if (a.latent.query_rank > 0) {
    CONCLAVE_ASSIGN_OR_RETURN(out.query_up_, LoadMatrix(file, name(names.latent_query_up)));
    CONCLAVE_ASSIGN_OR_RETURN(out.query_norm_,
                              LoadVector(file, name(names.latent_query_norm), a.latent.query_rank));
  }
  CONCLAVE_ASSIGN_OR_RETURN(out.latent_norm_, LoadVector(file, name(names.latent_norm), a.latent.kv_rank));
  CONCLAVE_ASSIGN_OR_RETURN(const HeadNumbers numbers, HeadNumbers::Load(file, description, layer));
  for (int64_t head = 0; head < a.query_heads; ++head) {
    CONCLAVE_ASSIGN_OR_RETURN(PackedMatrix key, PackNumbers(numbers.Key(head), a.head_dim - a.rope_dims));
    CONCLAVE_ASSIGN_OR_RETURN(PackedMatrix value, PackNumbers(numbers.Value(head), a.latent.kv_rank));
    out.key_.push_back(std::move(key));
    out.value_.push_back(std::move(value));
  }
  return out;
}

std::vector<const PackedMatrix*> LatentProjections::matrices() const {
  std::vector<const PackedMatrix*> out;
  if (query_up_.rows() > 0) out.push_back(&query_up_);
  for (const auto* matrices : {&key_, &value_}) {
    for (const PackedMatrix& matrix : *matrices) out.push_back(&matrix);
  }
  return out;
}

int64_t LatentProjections::bytes() const {
  int64_t sum = 0;
  for (const PackedMatrix* matrix : matrices()) sum += matrix->bytes();
  return sum;
}

void LatentProjections::TakeIn(const Architecture& a, const float* queries, int64_t tokens, ThreadPool& pool,
                               float* out) const {
  const int64_t plain_dim = a.head_dim - a.rope_dims;
  const int64_t width = a.cached_key_dim();
  const int64_t stride = a.query_heads * a.head_dim;
  const int64_t out_stride = a.query_heads * width;
  pool.ParallelFor(a.query_heads, 1, [&](int64_t begin, int64_t end) {
    for (int64_t head = begin; head < end; ++head) {
      const float* query = queries + head * a.head_dim;
      float* to = out + head * width;
      BestKernels().matmul(key_[head], 0, a.latent.kv_rank, query, stride, nullptr, tokens, to, out_stride);
      for (int64_t token = 0; token < tokens; ++token) {
        std::copy_n(query + token * stride + plain_dim, a.rope_dims,
                    to + token * out_stride + a.latent.kv_rank);
      }
    }
  });
}

void LatentProjections::TakeOut(const Architecture& a, const float* sums, int64_t tokens, ThreadPool& pool,
                                float* out) const {
  const int64_t rank = a.latent.kv_rank;
  const int64_t width = a.latent.value_dim;
  pool.ParallelFor(a.query_heads, 1, [&](int64_t begin, int64_t end) {
    for (int64_t head = begin; head < end; ++head) {
      BestKernels().matmul(value_[head], 0, width, sums + head * rank, a.query_heads * rank, nullptr, tokens,
                           out + head * width, a.query_heads * width);
    }
  });
}

}  // namespace conclave::engine
