#include "services/decoder/memory_connection.h"

#include <condition_variable>
#include <mutex>
#include <optional>
#include <random>
#include <utility>

#include <unistd.h>

#include "platform/exchange/frame_channel.h"
#include "platform/exchange/limits.h"
#include "services/decoder/limits.h"

namespace conclave::decoder {

using platform::MessageChannel;
using platform::SharedRegion;
using std::chrono::steady_clock;

/// What the Attach stream's callbacks share with the connection; late ones find it alive.
struct MemoryConnection::State {
  std::unique_ptr<MessageChannel> channel;
  std::mutex mutex;
  std::condition_variable changed;
  bool attached = false;       // guarded by mutex
  std::optional<Status> done;  // guarded by mutex

  void Attached() {
    std::lock_guard lock(mutex);
    attached = true;
    changed.notify_one();
  }

  void Done(Status status) {
    std::lock_guard lock(mutex);
    done = status.ok() ? Unavailable("the shard closed the stream") : std::move(status);
    changed.notify_one();
    channel->Close();
  }

  Status WaitUntilAttached(steady_clock::time_point deadline) {
    std::unique_lock lock(mutex);
    changed.wait_until(lock, deadline, [&] { return attached || done.has_value(); });
    if (done) return *done;
    return attached ? Status::Ok() : DeadlineExceeded("the shard did not attach the memory in time");
  }
};

Result<std::unique_ptr<MemoryConnection>> MemoryConnection::Open(v1::ExpertsService::StubInterface& stub,
                                                                 steady_clock::time_point deadline) {
  std::random_device random;
  v1::AttachRequest request;
  request.set_token(uint64_t{random()} << 32 | random());
  CONCLAVE_ASSIGN_OR_RETURN(auto region,
                            SharedRegion::Create(MessageChannel::RegionBytes(platform::kRingBytes)));
  request.set_process_id(static_cast<uint32_t>(getpid()));
  request.set_file_number(static_cast<uint32_t>(region->descriptor()));
  auto state = std::make_shared<State>();
  CONCLAVE_ASSIGN_OR_RETURN(
      state->channel, MessageChannel::Open(std::move(region), MessageChannel::Side::kCreator, request.token(),
                                           kMostExpertAnswerBytes));
  Stream::Callbacks callbacks;
  callbacks.on_message = [state](const v1::AttachResponse&) { state->Attached(); };
  callbacks.on_done = [state](Status status) { state->Done(std::move(status)); };
  std::unique_ptr<MemoryConnection> connection(new MemoryConnection(state));
  using Async = v1::ExpertsService::StubInterface::async_interface;
  connection->stream_ = Stream::Start(stub.async(), &Async::Attach, std::make_unique<grpc::ClientContext>(),
                                      std::move(callbacks));
  connection->stream_->Write(std::move(request));
  CONCLAVE_RETURN_IF_ERROR(state->WaitUntilAttached(deadline));
  state->channel->region().CloseDescriptor();
  return connection;
}

MemoryConnection::~MemoryConnection() = default;

Status MemoryConnection::Explain(Status status) const {
  if (status.code() != StatusCode::kUnavailable) return status;
  std::lock_guard lock(state_->mutex);
  return state_->done.value_or(std::move(status));
}

Status MemoryConnection::Send(v1::ExchangeRequest& frame) {
  const Status sent = platform::SendFrame(*state_->channel, frame, steady_clock::now() + kFrameSendTimeout);
  if (sent.ok()) return sent;
  return sent.code() == StatusCode::kDeadlineExceeded ? Unavailable(sent.message()) : Explain(sent);
}

Status MemoryConnection::Receive(v1::ExchangeResponse& answer, steady_clock::time_point deadline) {
  const Status received = platform::ReceiveFrame(*state_->channel, answer, scratch_, deadline);
  return received.ok() ? received : Explain(received);
}

}  // namespace conclave::decoder
