#include "engine/model/feed_forward_shard.h"

#include <algorithm>
#include <cassert>
#include <numeric>
#include <string>
#include <utility>

#include "engine/model/step_work.h"

namespace conclave::engine {
namespace {

Result<PackedMatrix> Pack(const ExpertMatrix& matrix) {
  return PackedMatrix::Pack(matrix.tensor, matrix.row_begin, matrix.row_end, matrix.column_begin,
                            matrix.column_end);
}

/// Copies rows of 8-bit blocks side by side.
void GatherBlocks(const QuantisedRows& from, const ExpertWork& work, QuantisedRows& to) {
  to.Resize(work.tokens, from.columns);
  const int64_t blocks = from.blocks();
  const auto copy = [&](const auto& source, auto& target, int64_t width) {
    for (int64_t i = 0; i < work.tokens; ++i) {
      std::copy_n(source.data() + work.rows[i] * width, width, target.data() + i * width);
    }
  };
  copy(from.q, to.q, blocks * kActivationBlock);
  copy(from.scales, to.scales, blocks);
  copy(from.sums, to.sums, blocks);
  copy(from.half_sums, to.half_sums, 2 * blocks);
}

}  // namespace

Result<std::unique_ptr<FeedForwardShard>> FeedForwardShard::Load(const ModelFile& file,
                                                                 const ModelDescription& description,
                                                                 std::vector<int64_t> experts,
                                                                 ThreadPool& pool) {
  const ExpertLayout layout(file, description);
  std::sort(experts.begin(), experts.end());
  const bool distinct = std::adjacent_find(experts.begin(), experts.end()) == experts.end();
  if (experts.empty() || !distinct || experts.front() < 0 || experts.back() >= layout.most()) {
    return InvalidArgument("the model's feed-forward layers have experts 0 to " +
                           std::to_string(layout.most() - 1) + "; name each at most once and at least one");
  }
  auto shard = std::make_unique<FeedForwardShard>();
  shard->experts_ = std::move(experts);
  shard->hidden_ = layout.hidden();
  shard->clamped_ = description.architecture.feed_forward == FeedForwardKind::kClampedSwiGlu;
  shard->alpha_ = static_cast<float>(description.architecture.swiglu_alpha);
  shard->limit_ = static_cast<float>(description.architecture.swiglu_limit);
  shard->layers_.resize(layout.layers());
  for (int64_t layer = 0; layer < layout.layers(); ++layer) shard->shapes_.push_back(layout.layer(layer));
  std::vector<Status> failures(layout.layers());
  pool.ParallelFor(layout.layers(), 1, [&](int64_t begin, int64_t end) {
    for (int64_t layer = begin; layer < end; ++layer) failures[layer] = shard->LoadLayer(layout, layer);
  });
  for (const Status& failure : failures) CONCLAVE_RETURN_IF_ERROR(failure);
  for (const auto& layer : shard->layers_) {
    for (const auto& expert : layer) shard->weight_bytes_ += expert ? expert->bytes() : 0;
  }
  return shard;
}

Result<std::unique_ptr<FeedForwardShard>> FeedForwardShard::LoadAll(const ModelFile& file,
                                                                    const ModelDescription& description,
                                                                    ThreadPool& pool) {
  std::vector<int64_t> experts(ExpertLayout(file, description).most());
  std::iota(experts.begin(), experts.end(), 0);
  return Load(file, description, std::move(experts), pool);
}

Status FeedForwardShard::LoadLayer(const ExpertLayout& layout, int64_t layer) {
  const int64_t total = shapes_[layer].total();
  auto& loaded = layers_[layer];
  loaded.resize(total);
  for (const int64_t expert : experts_) {
    if (expert >= total) break;
    CONCLAVE_ASSIGN_OR_RETURN(const ExpertMatrices matrices, layout.matrices(layer, expert));
    Expert& packed = loaded[expert].emplace();
    CONCLAVE_ASSIGN_OR_RETURN(packed.gate, Pack(matrices.gate));
    CONCLAVE_ASSIGN_OR_RETURN(packed.up, Pack(matrices.up));
    CONCLAVE_ASSIGN_OR_RETURN(packed.down, Pack(matrices.down));
    CONCLAVE_ASSIGN_OR_RETURN(packed.biases, layout.biases(layer, expert));
    if (packed.gate.quantised() != quantised(layer) || packed.up.quantised() != quantised(layer)) {
      return Unimplemented("layer " + std::to_string(layer) +
                           ": the gate and up projections must all be quantised or all be floats");
    }
  }
  return Status::Ok();
}

const FeedForwardShard::Expert* FeedForwardShard::Find(int64_t layer, int64_t expert) const {
  const auto& experts = layers_[layer];
  const bool here = expert < static_cast<int64_t>(experts.size()) && experts[expert].has_value();
  return here ? &*experts[expert] : nullptr;
}

std::vector<ExpertWork> FeedForwardShard::CommonWork(int64_t layer, int64_t tokens) const {
  std::vector<ExpertWork> work;
  for (const int64_t expert : experts_) {
    const bool common = expert >= shapes_[layer].routed && expert < shapes_[layer].total();
    if (common) work.push_back({.expert = expert, .tokens = tokens, .rows = nullptr});
  }
  return work;
}

bool FeedForwardShard::quantised(int64_t layer) const {
  for (const auto& expert : layers_[layer]) {
    if (expert) return expert->gate.quantised();
  }
  return false;
}

void FeedForwardShard::Gather(const FeedForwardInput& input, std::span<const ExpertWork> work) {
  if (gathered_blocks_.size() < work.size()) gathered_blocks_.resize(work.size());
  int64_t rows = 0;
  for (const ExpertWork& each : work) rows += each.rows == nullptr ? 0 : each.tokens;
  if (input.x8 == nullptr) Grow(gathered_, rows * hidden_);
  float* next = gathered_.data();
  for (size_t i = 0; i < work.size(); ++i) {
    Piece& piece = pieces_[i];
    piece.x = input.x;
    piece.x8 = input.x8;
    if (work[i].rows == nullptr) continue;
    if (input.x8 != nullptr) {
      GatherBlocks(*input.x8, work[i], gathered_blocks_[i]);
      piece.x8 = &gathered_blocks_[i];
      continue;
    }
    piece.x = next;
    for (int64_t row = 0; row < work[i].tokens; ++row, next += hidden_) {
      std::copy_n(input.x + work[i].rows[row] * hidden_, hidden_, next);
    }
  }
}

void FeedForwardShard::MakePieces(int64_t layer, const FeedForwardInput& input,
                                  std::span<const ExpertWork> work, float* out) {
  pieces_.assign(work.size(), {});
  if (inner_blocks_.size() < work.size()) inner_blocks_.resize(work.size());
  int64_t inner = 0;
  for (size_t i = 0; i < work.size(); ++i) {
    const Expert* expert = Find(layer, work[i].expert);
    assert(expert != nullptr && work[i].tokens > 0);
    pieces_[i].expert = expert;
    pieces_[i].tokens = work[i].tokens;
    pieces_[i].width = expert->gate.rows();
    inner += work[i].tokens * pieces_[i].width;
  }
  Grow(inner_, inner);
  Grow(up_, inner);
  int64_t at = 0;
  for (size_t i = 0; i < work.size(); ++i) {
    Piece& piece = pieces_[i];
    piece.inner = inner_.data() + at;
    piece.up = up_.data() + at;
    piece.out = out;
    at += piece.tokens * piece.width;
    out += piece.tokens * hidden_;
    if (!piece.expert->down.quantised()) continue;
    piece.inner_blocks = &inner_blocks_[i];
    piece.inner_blocks->Resize(piece.tokens, piece.width);
  }
  Gather(input, work);
}

void FeedForwardShard::Activate(const Piece& piece, int64_t token, int64_t first, int64_t last) const {
  const Kernels& kernels = BestKernels();
  const int64_t count = last - first;
  float* gate = piece.inner + token * piece.width + first;
  float* up = piece.up + token * piece.width + first;
  const ExpertBiases& biases = piece.expert->biases;
  if (!biases.gate.empty()) kernels.add(gate, biases.gate.data() + first, count);
  if (!biases.up.empty()) kernels.add(up, biases.up.data() + first, count);
  if (clamped_) {
    kernels.swiglu_clamped(gate, up, alpha_, limit_, count, gate);
  } else {
    kernels.swiglu(gate, up, count, gate);
  }
}

void FeedForwardShard::ComputeInner(ThreadPool& pool) {
  const Kernels& kernels = BestKernels();
  int64_t cost = 0;
  for (const Piece& piece : pieces_) cost += piece.groups() * piece.tokens;
  // A row group costs as much as it has tokens; each member takes the same share, pieces in order.
  pool.ParallelFor(cost, 1, [&](int64_t begin, int64_t end) {
    for (const Piece& piece : pieces_) {
      const int64_t width = piece.width;
      const int64_t most = piece.groups() * piece.tokens;
      const auto row = [&](int64_t share) {
        const int64_t groups = (std::clamp<int64_t>(share, 0, most) + piece.tokens - 1) / piece.tokens;
        return std::min(width, groups * kRowGroup);
      };
      const int64_t first = row(begin), last = row(end);
      begin -= most;
      end -= most;
      if (first >= last) continue;
      kernels.matmul(piece.expert->gate, first, last, piece.x, hidden_, piece.x8, piece.tokens, piece.inner,
                     width);
      kernels.matmul(piece.expert->up, first, last, piece.x, hidden_, piece.x8, piece.tokens, piece.up,
                     width);
      for (int64_t token = 0; token < piece.tokens; ++token) Activate(piece, token, first, last);
    }
  });
}

void FeedForwardShard::QuantiseInner(ThreadPool& pool) {
  const Kernels& kernels = BestKernels();
  int64_t rows = 0;
  bool wide = false;
  for (const Piece& piece : pieces_) {
    rows += piece.tokens;
    wide = wide || piece.tokens > 1;
  }
  const auto quantise = [&](int64_t begin, int64_t end) {
    for (const Piece& piece : pieces_) {
      const int64_t last = std::min(end, piece.tokens);
      for (int64_t token = std::max<int64_t>(begin, 0); token < last && piece.inner_blocks != nullptr;
           ++token) {
        kernels.quantise_row(piece.inner + token * piece.width, token, *piece.inner_blocks);
      }
      begin -= piece.tokens;
      end -= piece.tokens;
    }
  };
  if (wide) {
    pool.ParallelFor(rows, 1, quantise);
  } else {
    quantise(0, rows);
  }
}

void FeedForwardShard::ComputeDown(ThreadPool& pool) {
  const Kernels& kernels = BestKernels();
  pool.ParallelFor(hidden_, kRowGroup, [&](int64_t begin, int64_t end) {
    for (const Piece& piece : pieces_) {
      kernels.matmul(piece.expert->down, begin, end, piece.inner, piece.width, piece.inner_blocks,
                     piece.tokens, piece.out, hidden_);
      const std::vector<float>& bias = piece.expert->biases.down;
      for (int64_t token = 0; token < piece.tokens && !bias.empty(); ++token) {
        kernels.add(piece.out + token * hidden_ + begin, bias.data() + begin, end - begin);
      }
    }
  });
}

void FeedForwardShard::Observe(int64_t layer) {
  const auto slices = static_cast<int64_t>(pieces_.size());
  const int64_t tokens = pieces_.front().tokens;
  const int64_t width = pieces_.front().width;
  std::vector<float> rows(slices * tokens * width);
  for (int64_t slice = 0; slice < slices; ++slice) {
    for (int64_t token = 0; token < tokens; ++token) {
      std::copy_n(pieces_[slice].inner + token * width, width,
                  rows.data() + (token * slices + slice) * width);
    }
  }
  observer_->Observe(ProductInput::kDown, layer,
                     {.x = rows.data(), .rows = tokens, .columns = slices * width});
}

void FeedForwardShard::Compute(int64_t layer, const FeedForwardInput& input, std::span<const ExpertWork> work,
                               ThreadPool& pool, float* out) {
  if (work.empty()) return;
  std::lock_guard lock(compute_mutex_);
  MakePieces(layer, input, work, out);
  ComputeInner(pool);
  if (observer_ != nullptr && input.routing == nullptr) Observe(layer);
  QuantiseInner(pool);
  ComputeDown(pool);
}

}  // namespace conclave::engine
