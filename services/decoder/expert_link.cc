#include "services/decoder/expert_link.h"

#include <utility>

namespace conclave::decoder {

ExpertLink::ExpertLink(std::shared_ptr<grpc::Channel> channel, std::string address)
    : address_(std::move(address)), stub_(v1::ExpertsService::NewStub(channel)) {}

Result<v1::ExpertsServiceDescribeResponse> ExpertLink::Describe(
    std::chrono::system_clock::time_point deadline) {
  grpc::ClientContext context;
  context.set_deadline(deadline);
  context.set_wait_for_ready(true);
  v1::ExpertsServiceDescribeResponse response;
  const grpc::Status status = stub_->Describe(&context, {}, &response);
  if (!status.ok()) return platform::FromGrpcStatus(status, &context).Annotate("expert shard at " + address_);
  return response;
}

void ExpertLink::Open() {
  inbox_ = std::make_shared<Inbox>();
  next_frame_ = 0;
  Stream::Callbacks callbacks;
  callbacks.on_message = [inbox = inbox_](v1::ExchangeResponse response) {
    std::lock_guard lock(inbox->mutex);
    inbox->response = std::move(response);
    inbox->changed.notify_one();
  };
  callbacks.on_done = [inbox = inbox_](Status status) {
    std::lock_guard lock(inbox->mutex);
    inbox->done = status.ok() ? Unavailable("the shard closed the stream") : std::move(status);
    inbox->changed.notify_one();
  };
  using Async = v1::ExpertsService::StubInterface::async_interface;
  stream_ = Stream::Start(stub_->async(), &Async::Exchange, std::make_unique<grpc::ClientContext>(),
                          std::move(callbacks));
}

Status ExpertLink::Send(const v1::ExchangeRequest& request) {
  if (stream_ == nullptr) Open();
  v1::ExchangeRequest frame = request;
  frame.set_frame(next_frame_++);
  if (stream_->Write(std::move(frame))) return Status::Ok();
  return Unavailable("expert shard at " + address_ + ": the stream is closed");
}

Result<v1::ExchangeResponse> ExpertLink::Receive(std::chrono::system_clock::time_point deadline) {
  std::unique_lock lock(inbox_->mutex);
  const bool answered = inbox_->changed.wait_until(
      lock, deadline, [&] { return inbox_->response.has_value() || inbox_->done.has_value(); });
  if (!answered) return DeadlineExceeded("expert shard at " + address_ + " did not answer in time");
  if (!inbox_->response.has_value()) return inbox_->done->Annotate("expert shard at " + address_);
  v1::ExchangeResponse response = *std::exchange(inbox_->response, std::nullopt);
  if (response.frame() != next_frame_ - 1) {
    return Internal("expert shard at " + address_ + " answered frame " + std::to_string(response.frame()) +
                    " instead of " + std::to_string(next_frame_ - 1));
  }
  return response;
}

void ExpertLink::Reset() { stream_.reset(); }

}  // namespace conclave::decoder
