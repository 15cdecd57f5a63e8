#include "services/experts/exchange_frame.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <string>

#include "services/experts/limits.h"

namespace conclave::experts {
namespace {

constexpr int64_t kBlockBytes = sizeof(float) + engine::kActivationBlock;

std::string NameOf(v1::TensorDtype dtype) {
  const std::string& name = v1::TensorDtype_Name(dtype);
  return name.empty() ? "the unknown type " + std::to_string(dtype) : name;
}

/// The kernels count on |q| <= 127, which is all that quantise_row makes. It makes a scale of NaN too, for a
/// token whose numbers are not finite: what is computed for it is NaN, and its sequence fails where tokens
/// are chosen.
Status ReadBlocks(const std::string& data, engine::QuantisedRows& rows) {
  const char* from = data.data();
  for (int64_t block = 0; block < rows.rows * rows.blocks(); ++block, from += kBlockBytes) {
    std::memcpy(&rows.scales[block], from, sizeof(float));
    int8_t* q = &rows.q[block * engine::kActivationBlock];
    std::memcpy(q, from + sizeof(float), engine::kActivationBlock);
    if (std::isinf(rows.scales[block])) {
      return InvalidArgument("the layer's input has a scale that is infinite, in block " +
                             std::to_string(block));
    }
    if (std::find(q, q + engine::kActivationBlock, INT8_MIN) != q + engine::kActivationBlock) {
      return InvalidArgument("the layer's input holds -128, in block " + std::to_string(block) +
                             "; -127 to 127 are allowed");
    }
  }
  for (int64_t row = 0; row < rows.rows; ++row) rows.SumRow(row);
  return Status::Ok();
}

/// The rows of one expert, appended to the frame's.
Status ReadRows(const v1::ExpertTokens& tokens, FrameInput& frame) {
  const size_t first = frame.rows.size();
  for (const uint32_t row : tokens.rows()) {
    const bool ascending = frame.rows.size() == first || static_cast<int32_t>(row) > frame.rows.back();
    if (row >= frame.input.tokens || !ascending) {
      return InvalidArgument("expert " + std::to_string(tokens.expert()) + " is to compute row " +
                             std::to_string(row) + "; rows of the " + std::to_string(frame.input.tokens) +
                             " tokens must be ascending");
    }
    frame.rows.push_back(static_cast<int32_t>(row));
  }
  return Status::Ok();
}

Status CheckExpert(int64_t expert, const v1::ExchangeRequest& request, const engine::FeedForwardShard& shard,
                   const FrameInput& frame) {
  const int64_t total = shard.shape(request.layer()).total();
  const bool ascending = frame.work.empty() || expert > frame.work.back().expert;
  if (expert >= total || !ascending) {
    return InvalidArgument("expert " + std::to_string(expert) + " of " + std::to_string(total) +
                           " in layer " + std::to_string(request.layer()) + "; experts must be ascending");
  }
  if (shard.Find(request.layer(), expert) != nullptr) return Status::Ok();
  return FailedPrecondition("expert " + std::to_string(expert) + " of layer " +
                            std::to_string(request.layer()) + " does not live here");
}

}  // namespace

Status ReadWork(const v1::ExchangeRequest& request, const engine::FeedForwardShard& shard,
                FrameInput& frame) {
  const int64_t tokens = frame.input.tokens;
  frame.work.clear();
  frame.rows.clear();
  frame.output_rows = 0;
  if (request.experts().empty()) frame.work = shard.CommonWork(request.layer(), tokens);
  for (const v1::ExpertTokens& wanted : request.experts()) {
    CONCLAVE_RETURN_IF_ERROR(CheckExpert(wanted.expert(), request, shard, frame));
    CONCLAVE_RETURN_IF_ERROR(ReadRows(wanted, frame));
    const int64_t count = wanted.rows().empty() ? tokens : wanted.rows_size();
    frame.work.push_back({.expert = wanted.expert(), .tokens = count, .rows = nullptr});
  }
  int64_t first = 0;
  for (size_t i = 0; i < frame.work.size(); ++i) {
    frame.output_rows += frame.work[i].tokens;
    if (request.experts().empty() || request.experts(static_cast<int>(i)).rows().empty()) continue;
    frame.work[i].rows = frame.rows.data() + first;  // The rows move no more.
    first += frame.work[i].tokens;
  }
  const int64_t bytes = frame.output_rows * shard.hidden() * static_cast<int64_t>(sizeof(float));
  if (bytes <= kMostOutputBytes) return Status::Ok();
  return InvalidArgument("the answer to this frame would have " + std::to_string(bytes) + " bytes; at most " +
                         std::to_string(kMostOutputBytes) + " are allowed: ask for fewer rows at once");
}

Status ReadInput(const v1::Tensor& tensor, int64_t hidden, bool quantised, FrameInput& frame) {
  const auto wanted = quantised ? v1::TENSOR_DTYPE_Q8_BLOCK32 : v1::TENSOR_DTYPE_F32;
  if (tensor.dtype() != wanted) {
    return InvalidArgument("the layer's input must be " + NameOf(wanted) + "; " + NameOf(tensor.dtype()) +
                           " came");
  }
  if (tensor.shape_size() != 2 || tensor.shape(1) != hidden) {
    return InvalidArgument("the layer's input must be [tokens, " + std::to_string(hidden) + "]");
  }
  const int64_t tokens = tensor.shape(0);
  if (tokens < 1 || tokens > kMostFrameTokens) {
    return InvalidArgument("a frame has 1 to " + std::to_string(kMostFrameTokens) + " tokens; " +
                           std::to_string(tokens) + " came");
  }
  const int64_t blocks = (hidden + engine::kActivationBlock - 1) / engine::kActivationBlock;
  const int64_t bytes =
      quantised ? tokens * blocks * kBlockBytes : tokens * hidden * static_cast<int64_t>(sizeof(float));
  if (static_cast<int64_t>(tensor.data().size()) != bytes) {
    return InvalidArgument("the layer's input has " + std::to_string(tensor.data().size()) +
                           " bytes; its shape needs " + std::to_string(bytes));
  }
  frame.input = {.tokens = tokens};
  if (quantised) {
    frame.blocks.Resize(tokens, hidden);
    CONCLAVE_RETURN_IF_ERROR(ReadBlocks(tensor.data(), frame.blocks));
    frame.input.x8 = &frame.blocks;
  } else {
    frame.floats.resize(tokens * hidden);
    std::memcpy(frame.floats.data(), tensor.data().data(), bytes);
    frame.input.x = frame.floats.data();
  }
  return Status::Ok();
}

}  // namespace conclave::experts
