#include "services/decoder/expert_frame.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <string>

namespace conclave::decoder {
namespace {

static_assert(std::endian::native == std::endian::little, "tensors on the wire are little-endian");

/// Some of the tokens of one piece of work.
struct Part {
  const engine::ExpertWork* work = nullptr;
  int64_t begin = 0, end = 0;

  int64_t count() const { return end - begin; }
  int32_t row(int64_t i) const {
    return work->rows == nullptr ? static_cast<int32_t>(begin + i) : work->rows[begin + i];
  }
};

v1::Tensor InputToWire(const engine::FeedForwardInput& input, std::span<const int32_t> rows, int64_t hidden) {
  v1::Tensor tensor;
  tensor.add_shape(static_cast<uint32_t>(rows.size()));
  tensor.add_shape(static_cast<uint32_t>(hidden));
  std::string& data = *tensor.mutable_data();
  if (input.x8 == nullptr) {
    tensor.set_dtype(v1::TENSOR_DTYPE_F32);
    for (const int32_t row : rows) {
      data.append(reinterpret_cast<const char*>(input.x + row * hidden), hidden * sizeof(float));
    }
    return tensor;
  }
  tensor.set_dtype(v1::TENSOR_DTYPE_Q8_BLOCK32);
  const engine::QuantisedRows& blocks = *input.x8;
  constexpr int64_t kBlockBytes = sizeof(float) + engine::kActivationBlock;
  data.resize(rows.size() * blocks.blocks() * kBlockBytes);
  char* to = data.data();
  for (const int32_t row : rows) {
    const int64_t end = (row + 1) * blocks.blocks();
    for (int64_t block = row * blocks.blocks(); block < end; ++block, to += kBlockBytes) {
      std::memcpy(to, &blocks.scales[block], sizeof(float));
      std::memcpy(to + sizeof(float), &blocks.q[block * engine::kActivationBlock], engine::kActivationBlock);
    }
  }
  return tensor;
}

/// Fills in a frame's request. `places` [tokens of the step]: scratch.
void FillRequest(const engine::FeedForwardInput& input, const std::vector<Part>& parts, int64_t hidden,
                 std::vector<int32_t>& places, v1::ExchangeRequest& request) {
  places.assign(input.tokens, -1);
  for (const Part& part : parts) {
    for (int64_t i = 0; i < part.count(); ++i) places[part.row(i)] = 0;
  }
  std::vector<int32_t> rows;
  for (int32_t token = 0; token < input.tokens; ++token) {
    if (places[token] < 0) continue;
    places[token] = static_cast<int32_t>(rows.size());
    rows.push_back(token);
  }
  *request.mutable_input() = InputToWire(input, rows, hidden);
  for (const Part& part : parts) {
    v1::ExpertTokens& tokens = *request.add_experts();
    tokens.set_expert(static_cast<uint32_t>(part.work->expert));
    if (part.count() == static_cast<int64_t>(rows.size())) continue;  // All of the frame's rows.
    for (int64_t i = 0; i < part.count(); ++i) tokens.add_rows(static_cast<uint32_t>(places[part.row(i)]));
  }
}

}  // namespace

std::vector<ExpertFrame> MakeFrames(const engine::FeedForwardInput& input,
                                    std::span<const engine::ExpertWork> work,
                                    std::span<const WorkShare> shares, int64_t hidden, int64_t most_rows) {
  std::vector<ExpertFrame> frames;
  std::vector<Part> parts;
  std::vector<int32_t> places;
  ExpertFrame frame;
  const auto close = [&] {
    if (parts.empty()) return;
    FillRequest(input, parts, hidden, places, frame.request);
    frames.push_back(std::move(frame));
    frame = {};
    parts.clear();
  };
  int64_t first_row = 0;  // Of the outputs of the work at hand.
  int32_t index = 0;
  for (const WorkShare& share : shares) {
    for (; index < share.work; ++index) first_row += work[index].tokens;
    for (int64_t begin = share.begin; begin < share.end;) {
      if (!parts.empty() && parts.back().work == &work[index]) close();  // A frame names an expert once.
      const int64_t end = std::min(share.end, begin + most_rows - frame.rows);
      parts.push_back({&work[index], begin, end});
      frame.pieces.push_back({.first_row = first_row + begin, .rows = end - begin});
      frame.shares.push_back({.work = index, .begin = begin, .end = end});
      frame.rows += end - begin;
      begin = end;
      if (frame.rows == most_rows) close();
    }
  }
  close();
  return frames;
}

Status TakeAnswer(const ExpertFrame& frame, const v1::Tensor& answer, int64_t hidden, float* outputs) {
  const int64_t row_bytes = hidden * static_cast<int64_t>(sizeof(float));
  const bool fits = answer.dtype() == v1::TENSOR_DTYPE_F32 && answer.shape_size() == 2 &&
                    answer.shape(0) == frame.rows && answer.shape(1) == hidden &&
                    static_cast<int64_t>(answer.data().size()) == frame.rows * row_bytes;
  if (!fits) {
    return Internal("the shard answered with " + std::to_string(answer.data().size()) + " bytes; float32 [" +
                    std::to_string(frame.rows) + ", " + std::to_string(hidden) + "] has " +
                    std::to_string(frame.rows * row_bytes));
  }
  const char* from = answer.data().data();
  for (const ExpertFrame::Piece& piece : frame.pieces) {
    std::memcpy(outputs + piece.first_row * hidden, from, piece.rows * row_bytes);
    from += piece.rows * row_bytes;
  }
  return Status::Ok();
}

}  // namespace conclave::decoder
