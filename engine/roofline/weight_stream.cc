#include "engine/roofline/weight_stream.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <string>
#include <utility>

namespace conclave::engine {
namespace {

int64_t Outputs(const PackedMatrix& matrix, int64_t planes) { return matrix.rows() * planes; }

/// Numbers between -1 and 1 that no block repeats.
std::vector<float> FixedNumbers(int64_t count) {
  std::vector<float> numbers(count);
  for (int64_t i = 0; i < count; ++i) numbers[i] = std::sin(0.7f * static_cast<float>(i) + 0.1f);
  return numbers;
}

}  // namespace

WeightStream::WeightStream(const LanguageModel& model, const Kernels& kernels) : kernels_(kernels) {
  for (int64_t layer = 0; layer < model.architecture().layers; ++layer) {
    const auto attention = model.transformer().attention().matrices(layer);
    std::vector<Part> inputs, latent;
    for (const PackedMatrix* matrix : attention.inputs) inputs.push_back({matrix, 2});
    for (const PackedMatrix* matrix : attention.latent) latent.push_back({matrix, 2});
    AddRegion(std::move(inputs));
    if (!latent.empty()) AddRegion(std::move(latent));
    AddRegion({{&attention.output, 1}});
    std::vector<Part> inner, down;
    const FeedForwardShard& experts = model.feed_forward();
    const LayerExperts shape = experts.shape(layer);
    for (int64_t expert = 0; expert < shape.total(); ++expert) {
      // A token uses some of those that are chosen from: any will do.
      if (expert >= model.architecture().mixture.per_token && expert < shape.routed) continue;
      const FeedForwardShard::Expert& matrices = *experts.Find(layer, expert);
      inner.push_back({&matrices.gate, 1});
      inner.push_back({&matrices.up, 1});
      down.push_back({&matrices.down, 1});
    }
    AddRegion(std::move(inner));
    AddRegion(std::move(down));
  }
  AddRegion({{&model.transformer().head(), 2}});
}

void WeightStream::AddRegion(std::vector<Part> parts) {
  int64_t outputs = 0;
  for (Part& part : parts) {
    if (!part.matrix->quantised()) part.planes = 1;
    outputs += Outputs(*part.matrix, part.planes);
    const int64_t columns = part.matrix->columns();
    auto [at, added] = inputs_.try_emplace(columns);
    if (!added) continue;
    Input& input = at->second;
    input.x = FixedNumbers(columns);
    input.blocks.Resize(1, columns);
    kernels_.quantise_row(input.x.data(), 0, input.blocks);
    input.precise.Resize(1, columns);
    input.precise.QuantiseRow(input.x.data(), 0);
  }
  out_.resize(std::max(out_.size(), static_cast<size_t>(outputs)));
  regions_.push_back(std::move(parts));
}

int64_t WeightStream::bytes() const {
  int64_t sum = 0;
  for (const Region& region : regions_) {
    for (const Part& part : region) sum += part.matrix->bytes();
  }
  return sum;
}

WeightStream::Products WeightStream::CountProducts(bool head) const {
  Products products;
  const auto last = regions_.end() - 1;
  for (auto region = head ? last : regions_.begin(); region != (head ? regions_.end() : last); ++region) {
    for (const Part& part : *region) {
      int64_t& kind = part.matrix->quantised() ? products.int8 : products.floats;
      kind += part.matrix->rows() * part.matrix->columns();
    }
  }
  return products;
}

void WeightStream::Run(const Region& region, const Kernels& kernels, ThreadPool& pool, float* out) {
  int64_t groups = 0;
  for (const Part& part : region) groups += (part.matrix->rows() + kRowGroup - 1) / kRowGroup;
  // The matrices' row groups are shared out as if they were one matrix.
  pool.ParallelFor(groups, 1, [&](int64_t begin, int64_t end) {
    float* to = out;
    for (const Part& part : region) {
      const PackedMatrix& matrix = *part.matrix;
      const Input& input = inputs_.at(matrix.columns());
      const int64_t first = std::max<int64_t>(begin, 0) * kRowGroup;
      const int64_t last = std::min(end * kRowGroup, matrix.rows());
      if (first < last) {
        const QuantisedRows& blocks = part.planes == 2 ? input.precise.planes() : input.blocks;
        kernels.matmul(matrix, first, last, input.x.data(), matrix.columns(),
                       matrix.quantised() ? &blocks : nullptr, part.planes, to, matrix.rows());
      }
      to += Outputs(matrix, part.planes);
      const int64_t part_groups = (matrix.rows() + kRowGroup - 1) / kRowGroup;
      begin -= part_groups;
      end -= part_groups;
    }
  });
}

Status WeightStream::Validate(ThreadPool& pool) {
  std::vector<float> wanted(out_.size());
  for (size_t index = 0; index < regions_.size(); ++index) {
    const Region& region = regions_[index];
    int64_t outputs = 0;
    for (const Part& part : region) outputs += Outputs(*part.matrix, part.planes);
    std::fill(out_.begin(), out_.end(), std::numeric_limits<float>::quiet_NaN());
    Run(region, kernels_, pool, out_.data());
    Run(region, ReferenceKernels(), pool, wanted.data());
    if (std::memcmp(out_.data(), wanted.data(), outputs * sizeof(float)) != 0) {
      return Internal("region " + std::to_string(index) + " of the weight stream: the " +
                      std::string(kernels_.name) + " kernels do not give the reference's bits");
    }
  }
  return Status::Ok();
}

void WeightStream::Pass(ThreadPool& pool) {
  for (const Region& region : regions_) Run(region, kernels_, pool, out_.data());
}

}  // namespace conclave::engine
