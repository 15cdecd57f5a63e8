#include "services/experts/frame_computer.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "platform/exchange/frame_checksum.h"
#include "services/experts/limits.h"

namespace conclave::experts {
namespace {

/// The response's tensor with room for the frame's outputs; its shape is as the proto says.
float* MakeOutput(const FrameInput& frame, bool experts_named, int64_t hidden, v1::Tensor& output) {
  output.set_dtype(v1::TENSOR_DTYPE_F32);
  output.clear_shape();
  if (experts_named) {
    output.add_shape(static_cast<uint32_t>(frame.output_rows));
  } else {
    output.add_shape(static_cast<uint32_t>(frame.work.size()));
    output.add_shape(static_cast<uint32_t>(frame.input.tokens));
  }
  output.add_shape(static_cast<uint32_t>(hidden));
  std::string& data = *output.mutable_data();
  data.resize(frame.output_rows * hidden * sizeof(float));
  // A string's buffer is aligned for any number: it comes from operator new.
  return reinterpret_cast<float*>(data.data());
}

int64_t MostMultiplications(const engine::FeedForwardShard& shard) {
  int64_t widest = 0;
  for (int64_t layer = 0; layer < shard.layers(); ++layer) {
    for (const int64_t number : shard.experts()) {
      const auto* expert = shard.Find(layer, number);
      if (expert != nullptr) widest = std::max(widest, expert->gate.rows());
    }
  }
  return 3 * widest * shard.hidden();
}

}  // namespace

FrameComputer::FrameComputer(std::shared_ptr<engine::FeedForwardShard> shard,
                             std::shared_ptr<engine::ThreadPool> pool, std::string model_hash)
    : shard_(std::move(shard)),
      pool_(std::move(pool)),
      model_hash_(std::move(model_hash)),
      most_multiplications_(MostMultiplications(*shard_)) {}

Status FrameComputer::Answer(ExchangeSession& session, const v1::ExchangeRequest& request,
                             v1::ExchangeResponse& response) {
  const std::lock_guard lock(mutex_);
  return Compute(session, request, response);
}

std::optional<Status> FrameComputer::TryAnswer(ExchangeSession& session, const v1::ExchangeRequest& request,
                                               v1::ExchangeResponse& response) {
  if (!Quick(request)) return std::nullopt;
  const std::unique_lock lock(mutex_, std::try_to_lock);
  if (!lock.owns_lock()) return std::nullopt;
  return Compute(session, request, response);
}

bool FrameComputer::Quick(const v1::ExchangeRequest& request) const {
  // In floating point: neither number has been checked, and their product may be anything.
  const double tokens = request.input().shape().empty() ? 0 : request.input().shape(0);
  const double experts = std::max(request.experts_size(), 1);
  return tokens * experts * static_cast<double>(most_multiplications_) <= kQuickMultiplications;
}

Status FrameComputer::Check(const ExchangeSession& session, const v1::ExchangeRequest& request) const {
  if (request.frame() != session.next_frame) {
    return InvalidArgument("frame " + std::to_string(request.frame()) + " came instead of " +
                           std::to_string(session.next_frame));
  }
  const bool needs_hash = session.next_frame == 0 || !request.model_hash().empty();
  if (needs_hash && request.model_hash() != model_hash_) {
    return FailedPrecondition("this shard serves model " + model_hash_.substr(0, 12) + ", not '" +
                              request.model_hash().substr(0, 12) + "'");
  }
  if (request.checksum() != 0 && request.checksum() != platform::FrameChecksum(request)) {
    return DataLoss("frame " + std::to_string(request.frame()) + " was damaged on its way");
  }
  if (request.layer() >= shard_->layers()) {
    return InvalidArgument("layer " + std::to_string(request.layer()) + " of " +
                           std::to_string(shard_->layers()));
  }
  return Status::Ok();
}

Status FrameComputer::Compute(ExchangeSession& session, const v1::ExchangeRequest& request,
                              v1::ExchangeResponse& response) {
  CONCLAVE_RETURN_IF_ERROR(Check(session, request));
  const int64_t layer = request.layer();
  CONCLAVE_RETURN_IF_ERROR(ReadInput(request.input(), shard_->hidden(), shard_->quantised(layer), frame_));
  CONCLAVE_RETURN_IF_ERROR(ReadWork(request, *shard_, frame_));
  ++session.next_frame;
  response.set_frame(request.frame());
  float* out = MakeOutput(frame_, !request.experts().empty(), shard_->hidden(), *response.mutable_output());
  const auto start = std::chrono::steady_clock::now();
  shard_->Compute(layer, frame_.input, frame_.work, *pool_, out);
  response.set_compute_ns(static_cast<uint64_t>((std::chrono::steady_clock::now() - start).count()));
  response.set_checksum(request.checksum() == 0 ? 0 : platform::FrameChecksum(response));
  return Status::Ok();
}

}  // namespace conclave::experts
