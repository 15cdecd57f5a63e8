#include "services/decoder/expert_frame.h"

#include <bit>
#include <cstring>
#include <string>

namespace conclave::decoder {

static_assert(std::endian::native == std::endian::little, "tensors on the wire are little-endian");

v1::Tensor InputToWire(const engine::FeedForwardInput& input, int64_t hidden) {
  v1::Tensor tensor;
  tensor.add_shape(static_cast<uint32_t>(input.tokens));
  tensor.add_shape(static_cast<uint32_t>(hidden));
  std::string& data = *tensor.mutable_data();
  if (input.x8 == nullptr) {
    tensor.set_dtype(v1::TENSOR_DTYPE_F32);
    data.assign(reinterpret_cast<const char*>(input.x), input.tokens * hidden * sizeof(float));
    return tensor;
  }
  tensor.set_dtype(v1::TENSOR_DTYPE_Q8_BLOCK32);
  const engine::QuantisedRows& rows = *input.x8;
  const int64_t blocks = input.tokens * rows.blocks();
  constexpr int64_t kBlockBytes = sizeof(float) + engine::kActivationBlock;
  data.resize(blocks * kBlockBytes);
  char* to = data.data();
  for (int64_t block = 0; block < blocks; ++block, to += kBlockBytes) {
    std::memcpy(to, &rows.scales[block], sizeof(float));
    std::memcpy(to + sizeof(float), &rows.q[block * engine::kActivationBlock], engine::kActivationBlock);
  }
  return tensor;
}

Status OutputFromWire(const v1::Tensor& tensor, int64_t slices, int64_t tokens, int64_t hidden, float* out) {
  const int64_t bytes = slices * tokens * hidden * static_cast<int64_t>(sizeof(float));
  const bool fits = tensor.dtype() == v1::TENSOR_DTYPE_F32 && tensor.shape_size() == 3 &&
                    tensor.shape(0) == slices && tensor.shape(1) == tokens && tensor.shape(2) == hidden &&
                    static_cast<int64_t>(tensor.data().size()) == bytes;
  if (!fits) {
    return Internal("the shard answered with " + std::to_string(tensor.data().size()) + " bytes; float32 [" +
                    std::to_string(slices) + ", " + std::to_string(tokens) + ", " + std::to_string(hidden) +
                    "] has " + std::to_string(bytes));
  }
  std::memcpy(out, tensor.data().data(), bytes);
  return Status::Ok();
}

}  // namespace conclave::decoder
