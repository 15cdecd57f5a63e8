#include "bench/kernels/model_weights.h"

#include <algorithm>
#include <cstring>

#include "engine/kernels/half_rounding.h"

namespace conclave::bench {
namespace {

using engine::DType;
using engine::PackedMatrix;

/// A matrix of random integers whose scales are all 0.01: blocks begin with one or two half-precision
/// numbers, or (Q6_K) end with one. MXFP4's are 2^-7.
PackedMatrix MakeMatrix(std::mt19937& random, DType dtype, int64_t rows, int64_t columns) {
  const auto bytes = rows * *engine::RowBytes(dtype, columns);
  std::vector<std::byte> data(static_cast<size_t>(bytes));
  for (std::byte& byte : data) byte = static_cast<std::byte>(random());
  const uint16_t scale = engine::FloatToHalf(0.01f);
  const int64_t block_bytes = engine::InfoOf(dtype).block_bytes;
  const bool two =
      dtype != DType::kQ4_0 && dtype != DType::kQ5_0 && dtype != DType::kQ8_0 && dtype != DType::kQ6_K;
  for (int64_t block = 0; block < bytes; block += block_bytes) {
    if (dtype == DType::kMXFP4) {
      data[block] = std::byte{120};
      continue;
    }
    std::byte* at = data.data() + block + (dtype == DType::kQ6_K ? 208 : 0);
    std::memcpy(at, &scale, 2);
    if (two) std::memcpy(at + 2, &scale, 2);
  }
  const engine::TensorView view{.name = "bench",
                                .dtype = dtype,
                                .rank = 2,
                                .shape = {rows, columns},
                                .data = data.data(),
                                .bytes = bytes};
  return std::move(PackedMatrix::Pack(view)).value();
}

}  // namespace

int64_t ModelWeights::bytes() const {
  int64_t sum = head.bytes();
  for (const Layer& l : layers) {
    for (const PackedMatrix* m : {&l.query, &l.key, &l.value, &l.output, &l.gate, &l.up, &l.down})
      sum += m->bytes();
  }
  return sum;
}

int64_t ModelWeights::layer_products() const {
  return static_cast<int64_t>(layers.size()) * kHidden * (2 * kHidden + 2 * kKeyValue + 3 * kInner);
}

ModelWeights MakeWeights(DType dtype, int64_t layers) {
  std::mt19937 random(1);
  ModelWeights weights;
  for (int64_t i = 0; i < layers; ++i) {
    weights.layers.push_back({.query = MakeMatrix(random, dtype, kHidden, kHidden),
                              .key = MakeMatrix(random, dtype, kKeyValue, kHidden),
                              .value = MakeMatrix(random, dtype, kKeyValue, kHidden),
                              .output = MakeMatrix(random, dtype, kHidden, kHidden),
                              .gate = MakeMatrix(random, dtype, kInner, kHidden),
                              .up = MakeMatrix(random, dtype, kInner, kHidden),
                              .down = MakeMatrix(random, dtype, kHidden, kInner)});
  }
  weights.head = MakeMatrix(random, DType::kQ8_0, kVocabulary, kHidden);
  return weights;
}

engine::QuantisedRows MakeActivations(std::mt19937& random, int64_t tokens, int64_t columns) {
  std::normal_distribution<float> normal;
  std::vector<float> x(static_cast<size_t>(tokens * columns));
  for (float& number : x) number = normal(random);
  engine::QuantisedRows rows;
  rows.Resize(tokens, columns);
  for (int64_t t = 0; t < tokens; ++t)
    engine::ReferenceKernels().quantise_row(x.data() + t * columns, t, rows);
  return rows;
}

WeightStream::WeightStream(const ModelWeights& weights, int64_t tokens) : weights_(weights), tokens_(tokens) {
  std::mt19937 random(2);
  hidden_ = MakeActivations(random, tokens, kHidden);
  inner_ = MakeActivations(random, tokens, kInner);
  out_.resize(static_cast<size_t>(tokens * std::max(2 * kInner, tokens == 1 ? kVocabulary : 0)));
}

void WeightStream::Multiply(const engine::Kernels& kernels, engine::ThreadPool& pool,
                            std::initializer_list<const PackedMatrix*> matrices,
                            const engine::QuantisedRows& x) {
  int64_t rows = 0;
  for (const PackedMatrix* m : matrices) rows += m->rows();
  // The matrices' rows are split as if they were one matrix.
  pool.ParallelFor(rows, engine::kRowGroup, [&](int64_t begin, int64_t end) {
    int64_t first = 0;
    for (const PackedMatrix* m : matrices) {
      const int64_t from = std::max<int64_t>(0, begin - first);
      const int64_t to = std::min(m->rows(), end - first);
      if (from < to) kernels.matmul(*m, from, to, nullptr, 0, &x, tokens_, out_.data() + first, rows);
      first += m->rows();
    }
  });
}

void WeightStream::Pass(const engine::Kernels& kernels, engine::ThreadPool& pool) {
  for (const ModelWeights::Layer& l : weights_.layers) {
    Multiply(kernels, pool, {&l.query, &l.key, &l.value}, hidden_);
    Multiply(kernels, pool, {&l.output}, hidden_);
    Multiply(kernels, pool, {&l.gate, &l.up}, hidden_);
    Multiply(kernels, pool, {&l.down}, inner_);
  }
  if (tokens_ == 1) Multiply(kernels, pool, {&weights_.head}, hidden_);
}

bool Validate(const engine::Kernels& kernels, DType dtype) {
  std::mt19937 random(3);
  constexpr int64_t kTokens = 9;
  constexpr int64_t kRows = 100;
  const int64_t columns = dtype == DType::kQ8_0 ? kHidden : kInner;
  const PackedMatrix matrix = MakeMatrix(random, dtype, kRows, columns);
  const engine::QuantisedRows x = MakeActivations(random, kTokens, columns);
  std::vector<float> wanted(kRows * kTokens), got(kRows * kTokens), one(kRows);
  engine::ReferenceKernels().matmul(matrix, 0, kRows, nullptr, 0, &x, kTokens, wanted.data(), kRows);
  kernels.matmul(matrix, 0, kRows, nullptr, 0, &x, kTokens, got.data(), kRows);
  kernels.matmul(matrix, 0, kRows, nullptr, 0, &x, 1, one.data(), kRows);
  return std::memcmp(got.data(), wanted.data(), got.size() * sizeof(float)) == 0 &&
         std::memcmp(one.data(), wanted.data(), one.size() * sizeof(float)) == 0;
}

}  // namespace conclave::bench
