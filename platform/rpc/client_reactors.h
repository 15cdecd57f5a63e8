#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <utility>

#include <grpcpp/support/client_callback.h>

#include "base/result.h"
#include "platform/rpc/guard.h"
#include "platform/rpc/message_queue.h"
#include "platform/rpc/status_mapping.h"
#include "platform/rpc/stream_ends.h"

/// What stands behind the handles in client_call.h. A reactor keeps itself alive from Begin until OnDone.
/// gRPC must not be asked for anything after OnDone, so each direction holds it back ("hold") until that
/// direction is over.
namespace conclave::platform::detail {

/// The reading half, shared by both kinds of stream. `Reactor` is gRPC's base class.
template <typename Reactor, typename Response>
class ClientReading : public Reactor {
 public:
  ClientReading(std::unique_ptr<grpc::ClientContext> context, std::function<void(Response)> on_message,
                std::function<void(Status)> on_done)
      : context_(std::move(context)), on_message_(std::move(on_message)), on_done_(std::move(on_done)) {}

  grpc::ClientContext* context() { return context_.get(); }

  void PauseReading() {
    std::lock_guard lock(mutex_);
    paused_ = true;
  }

  void ResumeReading() {
    std::lock_guard lock(mutex_);
    paused_ = false;
    AdvanceReadingLocked();
  }

 protected:
  /// Under the lock, after the last read.
  virtual void ReadsEndedLocked() {}

  void AdvanceReadingLocked() {
    if (reads_over_ || reading_) return;
    if (cancelled_) return EndReadsLocked();
    if (paused_) return;
    reading_ = true;
    this->StartRead(&response_);
  }

  void CancelLocked() {
    cancelled_ = true;
    context_->TryCancel();
    AdvanceReadingLocked();
  }

  void OnReadDone(bool ok) override {
    if (!ok) {
      std::lock_guard lock(mutex_);
      reading_ = false;
      return EndReadsLocked();
    }
    const Status status = RunGuarded([&] { on_message_(std::exchange(response_, Response())); });
    std::lock_guard lock(mutex_);
    reading_ = false;
    if (!status.ok()) {
      if (failure_.ok()) failure_ = status;
      CancelLocked();
    }
    AdvanceReadingLocked();
  }

  void OnDone(const grpc::Status& status) override {
    std::shared_ptr<void> self;
    Status final_status;
    {
      std::lock_guard lock(mutex_);
      self.swap(self_);
      final_status = failure_.ok() ? FromGrpcStatus(status, context_.get()) : failure_;
    }
    const auto on_message = std::exchange(on_message_, nullptr);
    const auto on_done = std::exchange(on_done_, nullptr);
    if (on_done) (void)RunGuarded([&] { on_done(final_status); });
  }

  std::mutex mutex_;
  std::unique_ptr<grpc::ClientContext> context_;
  std::shared_ptr<void> self_;  // set while gRPC may call
  Status failure_;              // what ended the call from our side
  bool cancelled_ = false;

 private:
  void EndReadsLocked() {
    reads_over_ = true;
    ReadsEndedLocked();
    this->RemoveHold();
  }

  std::function<void(Response)> on_message_;
  std::function<void(Status)> on_done_;
  Response response_;
  bool paused_ = false;
  bool reading_ = false;  // a read is under way, or its message is being handled
  bool reads_over_ = false;
};

template <typename Response>
class ClientReader final : public ClientReading<grpc::ClientReadReactor<Response>, Response>,
                           public std::enable_shared_from_this<ClientReader<Response>> {
 public:
  using ClientReading<grpc::ClientReadReactor<Response>, Response>::ClientReading;

  void Begin() {
    std::lock_guard lock(this->mutex_);
    this->self_ = this->shared_from_this();
    this->AddHold();
    this->AdvanceReadingLocked();
    this->StartCall();
  }

  void Cancel() {
    std::lock_guard lock(this->mutex_);
    this->CancelLocked();
  }
};

template <typename Request, typename Response>
class ClientBidi final : public ClientReading<grpc::ClientBidiReactor<Request, Response>, Response>,
                         public ClientBidiEnd<Request>,
                         public std::enable_shared_from_this<ClientBidi<Request, Response>> {
 public:
  ClientBidi(std::unique_ptr<grpc::ClientContext> context, std::function<void(Response)> on_message,
             std::function<void(Status)> on_done, std::function<void()> on_writable,
             const StreamOptions& options)
      : ClientReading<grpc::ClientBidiReactor<Request, Response>, Response>(
            std::move(context), std::move(on_message), std::move(on_done)),
        on_writable_(std::move(on_writable)),
        queue_(options) {}

  void Begin() {
    std::lock_guard lock(this->mutex_);
    this->self_ = this->shared_from_this();
    this->AddMultipleHolds(2);
    this->AdvanceReadingLocked();
    this->StartCall();
  }

  bool Write(Request request) override {
    const size_t bytes = request.ByteSizeLong();
    std::lock_guard lock(this->mutex_);
    if (writes_over_ || half_closed_) return false;
    if (!queue_.HasRoomFor(bytes)) {
      this->failure_ = ServerTooSlow();
      CancelBothLocked();
      return false;
    }
    queue_.Push(std::move(request), bytes);
    AdvanceWritingLocked();
    return true;
  }

  bool writable() override {
    std::lock_guard lock(this->mutex_);
    return !writes_over_ && !half_closed_ && !queue_.filled();
  }

  void HalfClose() override {
    std::lock_guard lock(this->mutex_);
    half_closed_ = true;
    AdvanceWritingLocked();
  }

  void Cancel() override {
    std::lock_guard lock(this->mutex_);
    CancelBothLocked();
  }

  void PauseReading() override { Reading::PauseReading(); }
  void ResumeReading() override { Reading::ResumeReading(); }

 private:
  using Reading = ClientReading<grpc::ClientBidiReactor<Request, Response>, Response>;

  void OnWriteDone(bool ok) override {
    bool tell = false;
    {
      std::lock_guard lock(this->mutex_);
      writing_ = false;
      queue_.PopFront();
      if (!ok) EndWritesLocked();
      AdvanceWritingLocked();
      tell = !writes_over_ && queue_.Emptied();
    }
    if (tell) RunCallback(on_writable_);
  }

  void OnDone(const grpc::Status& status) override {
    const auto on_writable = std::exchange(on_writable_, nullptr);
    ClientReading<grpc::ClientBidiReactor<Request, Response>, Response>::OnDone(status);
  }

  void ReadsEndedLocked() override { EndWritesLocked(); }

  void CancelBothLocked() {
    EndWritesLocked();
    this->CancelLocked();
  }

  void AdvanceWritingLocked() {
    if (writing_ || writes_over_) return;
    if (!queue_.empty()) {
      writing_ = true;
      this->StartWrite(queue_.front());
    } else if (half_closed_) {
      this->StartWritesDone();
      EndWritesLocked();
    }
  }

  void EndWritesLocked() {
    queue_.DropAfter(writing_ ? 1 : 0);
    if (std::exchange(writes_over_, true)) return;
    this->RemoveHold();
  }

  std::function<void()> on_writable_;
  MessageQueue<Request> queue_;
  bool writing_ = false;
  bool half_closed_ = false;
  bool writes_over_ = false;
};

}  // namespace conclave::platform::detail
