#include "engine/model/feed_forward.h"

#include <algorithm>
#include <string>
#include <utility>

namespace conclave::engine {
namespace {

constexpr int64_t kMostSlices = 4;

Result<const TensorView*> Require(const ModelFile& file, const std::string& name) {
  const TensorView* tensor = file.Find(name);
  if (tensor == nullptr) return InvalidArgument(file.path() + ": tensor '" + name + "' is missing");
  return tensor;
}

}  // namespace

int64_t FeedForwardSlices(const ModelFile& file, const ModelDescription& description) {
  int64_t block = kActivationBlock;
  for (int64_t layer = 0; layer < description.architecture.layers; ++layer) {
    const TensorView* down = file.Find(WeightNames::ForLayer(description.names.down, layer));
    if (down != nullptr) block = std::max(block, InfoOf(down->dtype).block_elements);
  }
  for (int64_t slices = kMostSlices; slices > 1; slices /= 2) {
    if (description.architecture.inner % (slices * block) == 0) return slices;
  }
  return 1;
}

Result<std::unique_ptr<FeedForwardShard>> FeedForwardShard::Load(const ModelFile& file,
                                                                 const ModelDescription& description,
                                                                 std::vector<int64_t> slices,
                                                                 ThreadPool& pool) {
  const int64_t total = FeedForwardSlices(file, description);
  std::sort(slices.begin(), slices.end());
  const bool distinct = std::adjacent_find(slices.begin(), slices.end()) == slices.end();
  if (slices.empty() || !distinct || slices.front() < 0 || slices.back() >= total) {
    return InvalidArgument("the model's feed-forward layers have slices 0 to " + std::to_string(total - 1) +
                           "; name each at most once and at least one");
  }
  const Architecture& architecture = description.architecture;
  auto shard = std::make_unique<FeedForwardShard>();
  shard->slices_ = std::move(slices);
  shard->hidden_ = architecture.hidden;
  shard->slice_width_ = architecture.inner / total;
  shard->layers_.resize(architecture.layers);
  std::vector<Status> failures(architecture.layers);

  auto load_layer = [&](int64_t layer) -> Status {
    const WeightNames& names = description.names;
    CONCLAVE_ASSIGN_OR_RETURN(const TensorView* gate,
                              Require(file, WeightNames::ForLayer(names.gate, layer)));
    CONCLAVE_ASSIGN_OR_RETURN(const TensorView* up, Require(file, WeightNames::ForLayer(names.up, layer)));
    CONCLAVE_ASSIGN_OR_RETURN(const TensorView* down,
                              Require(file, WeightNames::ForLayer(names.down, layer)));
    for (const int64_t slice : shard->slices_) {
      const int64_t begin = slice * shard->slice_width_;
      const int64_t end = begin + shard->slice_width_;
      Slice packed;
      CONCLAVE_ASSIGN_OR_RETURN(packed.gate, PackedMatrix::Pack(*gate, begin, end, 0, architecture.hidden));
      CONCLAVE_ASSIGN_OR_RETURN(packed.up, PackedMatrix::Pack(*up, begin, end, 0, architecture.hidden));
      CONCLAVE_ASSIGN_OR_RETURN(packed.down, PackedMatrix::Pack(*down, 0, architecture.hidden, begin, end));
      if (packed.gate.quantised() != packed.up.quantised()) {
        return Unimplemented("layer " + std::to_string(layer) +
                             ": the gate and up projections must both be quantised or both be floats");
      }
      shard->layers_[layer].push_back(std::move(packed));
    }
    return Status::Ok();
  };
  pool.ParallelFor(architecture.layers, 1, [&](int64_t begin, int64_t end) {
    for (int64_t layer = begin; layer < end; ++layer) failures[layer] = load_layer(layer);
  });
  for (const Status& failure : failures) CONCLAVE_RETURN_IF_ERROR(failure);
  for (const auto& layer : shard->layers_) {
    for (const Slice& slice : layer) {
      shard->weight_bytes_ += slice.gate.bytes() + slice.up.bytes() + slice.down.bytes();
    }
  }
  shard->inner_blocks_.resize(shard->slices_.size());
  return shard;
}

bool FeedForwardShard::quantised(int64_t layer) const { return layers_[layer].front().gate.quantised(); }

void FeedForwardShard::ComputeInner(const Slice& slice, const FeedForwardInput& input, int64_t begin,
                                    int64_t end, float* inner, float* up) const {
  const Kernels& kernels = BestKernels();
  const int64_t width = slice_width_;
  kernels.matmul(slice.gate, begin, end, input.x, hidden_, input.x8, input.tokens, inner, width);
  kernels.matmul(slice.up, begin, end, input.x, hidden_, input.x8, input.tokens, up, width);
  for (int64_t token = 0; token < input.tokens; ++token) {
    const int64_t at = token * width + begin;
    kernels.swiglu(inner + at, up + at, end - begin, inner + at);
  }
}

void FeedForwardShard::Observe(int64_t layer, int64_t tokens) {
  const auto slices = static_cast<int64_t>(slices_.size());
  std::vector<float> rows(slices * tokens * slice_width_);
  for (int64_t slice = 0; slice < slices; ++slice) {
    for (int64_t token = 0; token < tokens; ++token) {
      std::copy_n(inner_.data() + (slice * tokens + token) * slice_width_, slice_width_,
                  rows.data() + (token * slices + slice) * slice_width_);
    }
  }
  observer_->Observe(ProductInput::kDown, layer,
                     {.x = rows.data(), .rows = tokens, .columns = slices * slice_width_});
}

void FeedForwardShard::Compute(int64_t layer, const FeedForwardInput& input, ThreadPool& pool, float* out) {
  std::lock_guard lock(compute_mutex_);
  const Kernels& kernels = BestKernels();
  const auto& slices = layers_[layer];
  const int64_t count = static_cast<int64_t>(slices.size());
  const int64_t tokens = input.tokens;
  const int64_t width = slice_width_;
  if (inner_.size() < static_cast<size_t>(count * tokens * width)) {
    inner_.resize(count * tokens * width);
    up_.resize(count * tokens * width);
  }

  const int64_t groups_per_slice = (width + kRowGroup - 1) / kRowGroup;
  pool.ParallelFor(count * groups_per_slice, 1, [&](int64_t begin, int64_t end) {
    for (int64_t at = begin; at < end;) {
      const int64_t slice = at / groups_per_slice;
      const int64_t stop = std::min(end, (slice + 1) * groups_per_slice);
      const int64_t first_row = (at - slice * groups_per_slice) * kRowGroup;
      const int64_t last_row = std::min(width, (stop - slice * groups_per_slice) * kRowGroup);
      ComputeInner(slices[slice], input, first_row, last_row, inner_.data() + slice * tokens * width,
                   up_.data() + slice * tokens * width);
      at = stop;
    }
  });

  if (observer_ != nullptr) Observe(layer, tokens);

  const bool quantise = slices.front().down.quantised();
  if (quantise) {
    for (QuantisedRows& blocks : inner_blocks_) blocks.Resize(tokens, width);
    auto quantise_rows = [&](int64_t begin, int64_t end) {
      for (int64_t at = begin; at < end; ++at) {
        kernels.quantise_row(inner_.data() + at * width, at % tokens, inner_blocks_[at / tokens]);
      }
    };
    if (tokens > 1) {
      pool.ParallelFor(count * tokens, 1, quantise_rows);
    } else {
      quantise_rows(0, count);
    }
  }

  pool.ParallelFor(hidden_, kRowGroup, [&](int64_t begin, int64_t end) {
    for (int64_t slice = 0; slice < count; ++slice) {
      kernels.matmul(slices[slice].down, begin, end, inner_.data() + slice * tokens * width, width,
                     quantise ? &inner_blocks_[slice] : nullptr, tokens, out + slice * tokens * hidden_,
                     hidden_);
    }
  });
}

void AddSlices(const float* outputs, int64_t slices, int64_t tokens, int64_t hidden, ThreadPool& pool,
               float* residual) {
  const int64_t count = tokens * hidden;
  auto add = [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      float sum = outputs[i];
      for (int64_t slice = 1; slice < slices; ++slice) sum += outputs[slice * count + i];
      residual[i] += sum;
    }
  };
  constexpr int64_t kWorthSharing = 1 << 15;
  if (count < kWorthSharing) {
    add(0, count);
  } else {
    pool.ParallelFor(count, kRowGroup, add);
  }
}

Status LocalFeedForward::AddTo(int64_t layer, const FeedForwardInput& input, ThreadPool& pool,
                               float* residual) {
  const int64_t slices = static_cast<int64_t>(shard_->slices().size());
  const int64_t hidden = shard_->hidden();
  if (outputs_.size() < static_cast<size_t>(slices * input.tokens * hidden)) {
    outputs_.resize(slices * input.tokens * hidden);
  }
  shard_->Compute(layer, input, pool, outputs_.data());
  AddSlices(outputs_.data(), slices, input.tokens, hidden, pool, residual);
  return Status::Ok();
}

}  // namespace conclave::engine
