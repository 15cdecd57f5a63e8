#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>

#include <grpcpp/support/server_callback.h>

#include "base/result.h"
#include "platform/rpc/call_context.h"
#include "platform/rpc/guard.h"
#include "platform/rpc/message_queue.h"
#include "platform/rpc/status_mapping.h"
#include "platform/rpc/stream_ends.h"

/// What stands behind the handles in server_call.h. A reactor belongs to gRPC and deletes itself in OnDone;
/// its core is shared with the handles and outlives it. A core reaches its reactor only under its mutex, and
/// only until it has told the reactor to finish: gRPC never calls OnDone before that.
namespace conclave::platform::detail {

/// The status of a call whose handle went without Finish.
Status DroppedCall();
/// Why a new call must not be served: the server drains. Nothing when it may be.
std::optional<Status> RefusalOf(const grpc::ServerContextBase& context);

/// What nearly every core has: finished or not, cancelled or not, and whom to tell.
class CallState {
 public:
  void OnCancel(std::function<void()> callback) {
    std::unique_lock lock(mutex_);
    if (finish_requested_) return;
    if (!cancelled_) {
      on_cancel_ = std::move(callback);
      return;
    }
    lock.unlock();
    RunCallback(callback);
  }

  bool cancelled() const {
    std::lock_guard lock(mutex_);
    return cancelled_;
  }

 protected:
  mutable std::mutex mutex_;
  bool cancelled_ = false;
  bool finish_requested_ = false;
  std::function<void()> on_cancel_;
};

template <typename Response>
class UnaryCore : public CallState {
 public:
  UnaryCore(grpc::CallbackServerContext* context, Response* response, grpc::ServerUnaryReactor* reactor)
      : context_(context), response_(response), reactor_(reactor) {}

  void Finish(Result<Response> result) {
    std::function<void()> dropped;  // destroyed after the lock: it may own the last handle
    std::lock_guard lock(mutex_);
    if (finish_requested_) return;
    finish_requested_ = true;
    dropped.swap(on_cancel_);
    if (result.ok()) *response_ = std::move(result).value();
    const Status status = result.status();
    AddRetryHint(status, context_);
    reactor_->Finish(ToGrpcStatus(status));
  }

  /// gRPC says that nobody waits: the call ends without the handler, whose later Finish does nothing.
  void Cancelled() {
    std::function<void()> callback;
    {
      std::lock_guard lock(mutex_);
      cancelled_ = true;
      callback.swap(on_cancel_);
    }
    RunCallback(callback);
    Finish(conclave::Cancelled("the caller is gone"));
  }

 private:
  grpc::CallbackServerContext* context_;
  Response* response_;
  grpc::ServerUnaryReactor* reactor_;
};

template <typename Response>
class UnaryReactor final : public grpc::ServerUnaryReactor {
 public:
  UnaryReactor(grpc::CallbackServerContext* context, Response* response)
      : core_(std::make_shared<UnaryCore<Response>>(context, response, this)) {}
  std::shared_ptr<UnaryCore<Response>> core() { return core_; }

 private:
  void OnCancel() override { core_->Cancelled(); }
  void OnDone() override { delete this; }

  std::shared_ptr<UnaryCore<Response>> core_;
};

/// What a core of a stream asks of its reactor.
template <typename Response>
class StreamOperations {
 public:
  virtual void Write(const Response* response) = 0;
  virtual void Read() {}
  virtual void Finish(const grpc::Status& status) = 0;

 protected:
  ~StreamOperations() = default;
};

template <typename Response>
class ServerStreamCore : public CallState, public ServerWriting<Response> {
 public:
  ServerStreamCore(grpc::CallbackServerContext* context, StreamOperations<Response>* operations,
                   const StreamOptions& options)
      : context_(context), operations_(operations), queue_(options) {}

  bool Write(Response response) override {
    const size_t bytes = response.ByteSizeLong();
    std::unique_lock lock(mutex_);
    if (finish_requested_ || cancelled_) return false;
    if (!queue_.HasRoomFor(bytes)) {
      EndLocked(lock, ReaderTooSlow());
      return false;
    }
    queue_.Push(std::move(response), bytes);
    AdvanceLocked();
    return true;
  }

  void Finish(Status status) override {
    Callbacks dropped;
    std::lock_guard lock(mutex_);
    if (finish_requested_) return;
    FinishLocked(std::move(status), &dropped);
  }

  void Abort(Status status) override {
    std::unique_lock lock(mutex_);
    if (!finish_requested_) EndLocked(lock, std::move(status));
  }

  void OnCancel(std::function<void()> callback) override { CallState::OnCancel(std::move(callback)); }
  bool cancelled() const override { return CallState::cancelled(); }

  bool writable() const override {
    std::lock_guard lock(mutex_);
    return !finish_requested_ && !cancelled_ && !queue_.filled();
  }

  void OnWritable(std::function<void()> callback) override {
    std::lock_guard lock(mutex_);
    if (!finish_requested_) on_writable_ = std::make_shared<std::function<void()>>(std::move(callback));
  }

  void WriteDone(bool ok) {
    std::shared_ptr<std::function<void()>> callback;
    {
      std::lock_guard lock(mutex_);
      writing_ = false;
      queue_.PopFront();
      if (!ok) queue_.DropAfter(0);
      AdvanceLocked();
      if (ok && queue_.Emptied()) callback = on_writable_;
    }
    if (callback) FinishOnError(RunGuarded(*callback));
  }

  void Cancelled() {
    std::unique_lock lock(mutex_);
    if (finish_requested_) {
      cancelled_ = true;
      queue_.DropAfter(writing_ ? 1 : 0);
      AdvanceLocked();
      return;
    }
    EndLocked(lock, conclave::Cancelled("the caller is gone"));
  }

  void FinishOnError(Status status) {
    if (!status.ok()) Finish(std::move(status));
  }

 protected:
  /// Callbacks that are to be destroyed outside of the lock: they may own the last handle.
  struct Callbacks {
    std::function<void()> on_cancel;
    std::shared_ptr<std::function<void()>> on_writable;
    std::shared_ptr<void> more;
  };

  /// Drops what only a live stream needs. Called under the lock, once.
  virtual void ReleaseLocked(Callbacks* dropped) {
    dropped->on_cancel.swap(on_cancel_);
    dropped->on_writable.swap(on_writable_);
  }

  StreamOperations<Response>* operations_locked() { return operations_; }

 private:
  void FinishLocked(Status status, Callbacks* dropped) {
    finish_requested_ = true;
    final_status_ = std::move(status);
    ReleaseLocked(dropped);
    AdvanceLocked();
  }

  /// Ends the stream from our side and tells the handler, outside of the lock.
  void EndLocked(std::unique_lock<std::mutex>& lock, Status status) {
    Callbacks dropped;
    cancelled_ = true;
    queue_.DropAfter(writing_ ? 1 : 0);
    FinishLocked(std::move(status), &dropped);
    lock.unlock();
    RunCallback(dropped.on_cancel);
  }

  void AdvanceLocked() {
    if (writing_ || operations_ == nullptr) return;
    if (!queue_.empty()) {
      writing_ = true;
      operations_->Write(queue_.front());
    } else if (finish_requested_) {
      AddRetryHint(final_status_, context_);
      std::exchange(operations_, nullptr)->Finish(ToGrpcStatus(final_status_));
    }
  }

  grpc::CallbackServerContext* context_;
  StreamOperations<Response>* operations_;  // null once told to finish
  MessageQueue<Response> queue_;
  bool writing_ = false;
  Status final_status_;
  std::shared_ptr<std::function<void()>> on_writable_;
};

template <typename Response>
class WriteReactor final : public grpc::ServerWriteReactor<Response>, public StreamOperations<Response> {
 public:
  WriteReactor(grpc::CallbackServerContext* context, const StreamOptions& options)
      : core_(std::make_shared<ServerStreamCore<Response>>(context, this, options)) {}
  std::shared_ptr<ServerStreamCore<Response>> core() { return core_; }

 private:
  void Write(const Response* response) override { this->StartWrite(response); }
  void Finish(const grpc::Status& status) override { grpc::ServerWriteReactor<Response>::Finish(status); }

  void OnWriteDone(bool ok) override { core_->WriteDone(ok); }
  void OnCancel() override { core_->Cancelled(); }
  void OnDone() override { delete this; }

  std::shared_ptr<ServerStreamCore<Response>> core_;
};

template <typename Request, typename Response>
class BidiCore final : public ServerStreamCore<Response>, public ServerReading<Request> {
 public:
  using ServerStreamCore<Response>::ServerStreamCore;

  void OnMessage(std::function<void(Request)> callback) override {
    std::lock_guard lock(this->mutex_);
    if (!this->finish_requested_) callbacks_->on_message = std::move(callback);
  }
  void OnHalfClose(std::function<void()> callback) override {
    std::lock_guard lock(this->mutex_);
    if (!this->finish_requested_) callbacks_->on_half_close = std::move(callback);
  }

  /// After the handler has set its callbacks.
  void BeginReading() {
    std::lock_guard lock(this->mutex_);
    begun_ = true;
    AdvanceReadingLocked();
  }
  void PauseReading() override {
    std::lock_guard lock(this->mutex_);
    paused_ = true;
  }
  void ResumeReading() override {
    std::lock_guard lock(this->mutex_);
    paused_ = false;
    AdvanceReadingLocked();
  }

  void ReadDone(bool ok, Request request) {
    std::shared_ptr<ReadCallbacks> callbacks;
    {
      std::lock_guard lock(this->mutex_);
      callbacks = callbacks_;
      if (!ok) reads_over_ = true;
    }
    if (!ok) return HalfClosed(callbacks);
    if (callbacks && callbacks->on_message) {
      this->FinishOnError(RunGuarded([&] { callbacks->on_message(std::move(request)); }));
    }
    std::lock_guard lock(this->mutex_);
    reading_ = false;
    AdvanceReadingLocked();
  }

 private:
  struct ReadCallbacks {
    std::function<void(Request)> on_message;
    std::function<void()> on_half_close;
  };
  using typename ServerStreamCore<Response>::Callbacks;

  void HalfClosed(const std::shared_ptr<ReadCallbacks>& callbacks) {
    if (!callbacks) return;
    if (!callbacks->on_half_close) return this->Finish(Status::Ok());
    this->FinishOnError(RunGuarded(callbacks->on_half_close));
  }

  void AdvanceReadingLocked() {
    if (!begun_ || paused_ || reading_ || reads_over_ || this->finish_requested_) return;
    reading_ = true;
    this->operations_locked()->Read();
  }

  void ReleaseLocked(Callbacks* dropped) override {
    ServerStreamCore<Response>::ReleaseLocked(dropped);
    dropped->more = std::move(callbacks_);
  }

  std::shared_ptr<ReadCallbacks> callbacks_ = std::make_shared<ReadCallbacks>();  // null once finished
  bool begun_ = false;
  bool paused_ = false;
  bool reading_ = false;  // a read is under way, or its message is being handled
  bool reads_over_ = false;
};

template <typename Request, typename Response>
class BidiReactor final : public grpc::ServerBidiReactor<Request, Response>,
                          public StreamOperations<Response> {
 public:
  BidiReactor(grpc::CallbackServerContext* context, const StreamOptions& options)
      : core_(std::make_shared<BidiCore<Request, Response>>(context, this, options)) {}
  std::shared_ptr<BidiCore<Request, Response>> core() { return core_; }

 private:
  void Write(const Response* response) override { this->StartWrite(response); }
  void Read() override { this->StartRead(&request_); }
  void Finish(const grpc::Status& status) override {
    grpc::ServerBidiReactor<Request, Response>::Finish(status);
  }

  void OnReadDone(bool ok) override { core_->ReadDone(ok, std::exchange(request_, Request())); }
  void OnWriteDone(bool ok) override { core_->WriteDone(ok); }
  void OnCancel() override { core_->Cancelled(); }
  void OnDone() override { delete this; }

  Request request_;
  std::shared_ptr<BidiCore<Request, Response>> core_;
};

/// Runs a handler, unless the server drains.
template <typename Core, typename Handler>
void Start(grpc::CallbackServerContext* context, Core& core, Handler&& handler) {
  if (auto refusal = RefusalOf(*context)) return core.Finish(*std::move(refusal));
  Status status = RunGuarded([&] { handler(CallContextOf(*context)); });
  if (!status.ok()) core.Finish(std::move(status));
}

}  // namespace conclave::platform::detail
