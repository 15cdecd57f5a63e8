#include "services/decoder/stream_connection.h"

#include <atomic>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <optional>
#include <utility>

#include "services/decoder/limits.h"

namespace conclave::decoder {

/// What a stream's callbacks share with the connection; late ones find it alive.
struct StreamConnection::Inbox {
  std::mutex mutex;
  std::condition_variable changed;
  std::deque<v1::ExchangeResponse> answers;  // guarded by mutex
  std::optional<Status> done;                // guarded by mutex
  std::atomic<bool> news = false;            ///< an answer or the end is there

  void Take(v1::ExchangeResponse answer) {
    std::lock_guard lock(mutex);
    // A shard that answers more than it was asked fills no memory: its stream has ended for us.
    if (answers.size() >= kMostFramesInFlight && !done) done = Internal("the shard answers unasked");
    if (!done) answers.push_back(std::move(answer));
    Tell();
  }

  void End(Status status) {
    std::lock_guard lock(mutex);
    if (!done) done = status.ok() ? Unavailable("the shard closed the stream") : std::move(status);
    Tell();
  }

  void Tell() {
    news = true;
    changed.notify_one();
  }
};

StreamConnection::StreamConnection(v1::ExpertsService::StubInterface& stub)
    : inbox_(std::make_shared<Inbox>()) {
  Stream::Callbacks callbacks;
  callbacks.on_message = [inbox = inbox_](v1::ExchangeResponse answer) { inbox->Take(std::move(answer)); };
  callbacks.on_done = [inbox = inbox_](Status status) { inbox->End(std::move(status)); };
  using Async = v1::ExpertsService::StubInterface::async_interface;
  stream_ = Stream::Start(stub.async(), &Async::Exchange, std::make_unique<grpc::ClientContext>(),
                          std::move(callbacks));
}

Status StreamConnection::Send(v1::ExchangeRequest& frame) {
  return stream_->Write(frame) ? Status::Ok() : Unavailable("the stream is closed");
}

Status StreamConnection::Receive(v1::ExchangeResponse& answer,
                                 std::chrono::steady_clock::time_point deadline) {
  patience_.Begin();
  patience_.Watch([&] { return inbox_->news.load(std::memory_order_acquire); });
  std::unique_lock lock(inbox_->mutex);
  const bool came = inbox_->changed.wait_until(
      lock, deadline, [&] { return !inbox_->answers.empty() || inbox_->done.has_value(); });
  patience_.End();
  if (!came) return DeadlineExceeded("no answer came in time");
  if (inbox_->answers.empty()) return *inbox_->done;
  answer = std::move(inbox_->answers.front());
  inbox_->answers.pop_front();
  inbox_->news = !inbox_->answers.empty() || inbox_->done.has_value();
  return Status::Ok();
}

}  // namespace conclave::decoder
