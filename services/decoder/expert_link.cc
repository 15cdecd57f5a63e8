#include "services/decoder/expert_link.h"

#include <utility>

#include "platform/config/address.h"
#include "platform/exchange/frame_checksum.h"
#include "platform/log/log.h"
#include "platform/rpc/status_mapping.h"
#include "services/decoder/limits.h"
#include "services/decoder/memory_connection.h"
#include "services/decoder/stream_connection.h"

namespace conclave::decoder {

using platform::ExpertTransport;

namespace {

bool OnThisMachine(const std::string& address) {
  const auto parsed = platform::ParseAddress(address);
  if (!parsed.ok()) return false;
  return parsed->kind == platform::Address::Kind::kUnix ||
         (parsed->kind == platform::Address::Kind::kTcp && platform::IsLoopbackHost(parsed->name));
}

}  // namespace

ExpertLink::ExpertLink(std::shared_ptr<grpc::Channel> channel, std::string address, ExpertTransport transport)
    : address_(std::move(address)), transport_(transport), stub_(v1::ExpertsService::NewStub(channel)) {}

Result<v1::ExpertsServiceDescribeResponse> ExpertLink::Describe(
    std::chrono::system_clock::time_point deadline) {
  grpc::ClientContext context;
  context.set_deadline(deadline);
  context.set_wait_for_ready(true);
  v1::ExpertsServiceDescribeResponse response;
  const grpc::Status status = stub_->Describe(&context, {}, &response);
  if (!status.ok()) return Named(platform::FromGrpcStatus(status, &context));
  return response;
}

Status ExpertLink::Named(const Status& status) const {
  return status.ok() ? status : status.Annotate("expert shard at " + address_);
}

Status ExpertLink::Open() {
  next_frame_ = 0;
  next_answer_ = 0;
  const bool memory = transport_ == ExpertTransport::kMemory ||
                      (transport_ == ExpertTransport::kAuto && OnThisMachine(address_));
  if (memory) {
    auto opened = MemoryConnection::Open(*stub_, std::chrono::steady_clock::now() + kAttachTimeout);
    if (opened.ok()) {
      connection_ = *std::move(opened);
      return Status::Ok();
    }
    if (transport_ == ExpertTransport::kMemory) return opened.status();
    platform::LogDebug("decoder", "a shard does not share memory; frames go on a stream",
                       {{"address", address_}, {"reason", opened.status().ToString()}});
  }
  connection_ = std::make_unique<StreamConnection>(*stub_);
  return Status::Ok();
}

Status ExpertLink::Send(v1::ExchangeRequest& frame) {
  if (connection_ == nullptr) {
    CONCLAVE_RETURN_IF_ERROR(Named(Open()));
  }
  frame.set_frame(next_frame_++);
  frame.set_checksum(platform::FrameChecksum(frame));
  return Named(connection_->Send(frame));
}

Status ExpertLink::Receive(v1::ExchangeResponse& answer, std::chrono::steady_clock::time_point deadline) {
  Status received = connection_->Receive(answer, deadline);
  if (received.ok()) received = CheckAnswer(answer);
  return Named(received);
}

Status ExpertLink::CheckAnswer(const v1::ExchangeResponse& answer) {
  const uint64_t expected = next_answer_++;
  if (answer.frame() != expected) {
    return Internal("frame " + std::to_string(answer.frame()) + " was answered instead of " +
                    std::to_string(expected));
  }
  if (answer.checksum() == platform::FrameChecksum(answer)) return Status::Ok();
  return DataLoss("the answer to frame " + std::to_string(expected) + " was damaged on its way");
}

void ExpertLink::Reset() { connection_.reset(); }

}  // namespace conclave::decoder
