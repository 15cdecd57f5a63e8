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

}  // namespace

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
