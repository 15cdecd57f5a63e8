#pragma once

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <utility>

#include "base/status.h"
#include "platform/rpc/guard.h"
#include "platform/rpc/message_queue.h"
#include "platform/rpc/stream_ends.h"

namespace conclave::platform::detail {

/// One direction of a LocalStream; guarded by its mutex.
template <typename Message>
struct LocalLane {
  explicit LocalLane(const StreamOptions& options) : queue(options) {}

  MessageQueue<Message> queue;
  bool running = false;  ///< a thread runs the reader's callbacks
  bool paused = false;
};

/// A stream that can be ended from outside.
class LocalStreamBase {
 public:
  virtual ~LocalStreamBase() = default;
  /// Ends it with `status`, and waits until no callback runs. Not from a callback.
  virtual void Close(Status status) = 0;
};

/// A bidirectional stream within one process, without gRPC: whoever writes a message runs the other side's
/// callback on its own thread. Everything that the handles promise holds as it does over gRPC: one message at
/// a time in order (who finds a callback running leaves its message to that thread), bounded queues, pauses,
/// half-close, one end.
template <typename Request, typename Response>
class LocalStream final : public LocalStreamBase,
                          public std::enable_shared_from_this<LocalStream<Request, Response>> {
 public:
  struct ClientCallbacks {
    std::function<void(Response)> on_message;
    std::function<void(Status)> on_done;
    std::function<void()> on_writable;
  };

  LocalStream(ClientCallbacks client, const StreamOptions& client_options)
      : client_(std::make_shared<ClientCallbacks>(std::move(client))),
        requests_(client_options),
        responses_(StreamOptions()) {}

  /// Runs `handler()`, which sets the server's callbacks, and begins. Its error, or the one that it finished
  /// the stream with; the client then hears nothing.
  template <typename Handler>
  Status Begin(Handler&& handler) {
    {
      std::lock_guard lock(mutex_);
      requests_.running = responses_.running = true;
    }
    Status status = RunGuarded(std::forward<Handler>(handler));
    if (!status.ok()) Finish(status);
    std::shared_ptr<ClientCallbacks> dropped;
    std::lock_guard lock(mutex_);
    requests_.running = responses_.running = false;
    idle_.notify_all();
    if (!over_ && !finished_) return Status::Ok();
    dropped.swap(client_);
    return final_status_.ok() ? Unavailable("the service ended the stream") : final_status_;
  }

  void Close(Status status) override {
    End(std::move(status));
    std::unique_lock lock(mutex_);
    idle_.wait(lock, [&] { return !requests_.running && !responses_.running && !cancelling_; });
  }

  std::shared_ptr<ClientBidiEnd<Request>> client_end() {
    return std::make_shared<ClientEnd>(this->shared_from_this());
  }
  auto server_end() { return std::make_shared<ServerEnd>(this->shared_from_this()); }

 private:
  struct ServerCallbacks {
    std::function<void(Request)> on_message;
    std::function<void()> on_half_close, on_cancel;
    std::shared_ptr<std::function<void()>> on_writable;
  };

  class ClientEnd final : public ClientBidiEnd<Request> {
   public:
    explicit ClientEnd(std::shared_ptr<LocalStream> stream) : stream_(std::move(stream)) {}
    bool Write(Request request) override { return stream_->WriteRequest(std::move(request)); }
    bool writable() override {
      std::lock_guard lock(stream_->mutex_);
      return stream_->TakesRequestsLocked() && !stream_->requests_.queue.filled();
    }
    void HalfClose() override {
      {
        std::lock_guard lock(stream_->mutex_);
        stream_->half_closed_ = true;
      }
      stream_->RunServer();
    }
    void Cancel() override { stream_->End(Cancelled("the call was cancelled")); }
    void PauseReading() override { stream_->Pause(stream_->responses_, true); }
    void ResumeReading() override {
      stream_->Pause(stream_->responses_, false);
      stream_->RunClient();
    }

   private:
    const std::shared_ptr<LocalStream> stream_;
  };

  class ServerEnd final : public ServerWriting<Response>, public ServerReading<Request> {
   public:
    explicit ServerEnd(std::shared_ptr<LocalStream> stream) : stream_(std::move(stream)) {}
    bool Write(Response response) override { return stream_->WriteResponse(std::move(response)); }
    void Finish(Status status) override { stream_->Finish(std::move(status)); }
    void Abort(Status status) override { stream_->End(std::move(status)); }
    bool cancelled() const override {
      std::lock_guard lock(stream_->mutex_);
      return stream_->over_;
    }
    bool writable() const override {
      std::lock_guard lock(stream_->mutex_);
      return !stream_->over_ && !stream_->finished_ && !stream_->responses_.queue.filled();
    }
    void OnCancel(std::function<void()> callback) override { stream_->OnCancel(std::move(callback)); }
    void OnWritable(std::function<void()> callback) override {
      auto shared = std::make_shared<std::function<void()>>(std::move(callback));
      std::lock_guard lock(stream_->mutex_);
      if (stream_->server_ != nullptr) stream_->server_->on_writable.swap(shared);
    }
    void OnMessage(std::function<void(Request)> callback) override {
      std::lock_guard lock(stream_->mutex_);
      if (stream_->server_ != nullptr) stream_->server_->on_message.swap(callback);
    }
    void OnHalfClose(std::function<void()> callback) override {
      std::lock_guard lock(stream_->mutex_);
      if (stream_->server_ != nullptr) stream_->server_->on_half_close.swap(callback);
    }
    void PauseReading() override { stream_->Pause(stream_->requests_, true); }
    void ResumeReading() override {
      stream_->Pause(stream_->requests_, false);
      stream_->RunServer();
    }

   private:
    const std::shared_ptr<LocalStream> stream_;
  };

  bool TakesRequestsLocked() const { return !over_ && !finished_ && !half_closed_; }

  bool WriteRequest(Request request) {
    const size_t bytes = request.ByteSizeLong();
    {
      std::unique_lock lock(mutex_);
      if (!TakesRequestsLocked()) return false;
      if (!requests_.queue.HasRoomFor(bytes)) {
        lock.unlock();
        End(ServerTooSlow());
        return false;
      }
      requests_.queue.Push(std::move(request), bytes);
    }
    RunServer();
    return true;
  }

  bool WriteResponse(Response response) {
    const size_t bytes = response.ByteSizeLong();
    {
      std::unique_lock lock(mutex_);
      if (over_ || finished_) return false;
      if (!responses_.queue.HasRoomFor(bytes)) {
        lock.unlock();
        End(ReaderTooSlow());
        return false;
      }
      responses_.queue.Push(std::move(response), bytes);
    }
    RunClient();
    return true;
  }

  template <typename Lane>
  void Pause(Lane& lane, bool paused) {
    std::lock_guard lock(mutex_);
    lane.paused = paused;
  }

  void OnCancel(std::function<void()> callback) {
    std::unique_lock lock(mutex_);
    if (finished_) return;
    if (!over_) {
      server_->on_cancel.swap(callback);
      return;
    }
    lock.unlock();
    RunCallback(callback);
  }

  /// The server's end: after what it wrote.
  void Finish(Status status) {
    std::shared_ptr<ServerCallbacks> dropped;  // destroyed after the lock: they may own the last handle
    {
      std::lock_guard lock(mutex_);
      if (over_ || finished_) return;
      finished_ = true;
      final_status_ = std::move(status);
      dropped.swap(server_);
    }
    RunClient();
  }

  /// An end that drops what waits.
  void End(Status status) {
    std::shared_ptr<ServerCallbacks> dropped;
    {
      std::lock_guard lock(mutex_);
      if (over_) return;
      over_ = cancelling_ = true;
      final_status_ = std::move(status);
      requests_.queue.DropAfter(0);
      responses_.queue.DropAfter(0);
      dropped.swap(server_);  // Null once finished.
    }
    if (dropped != nullptr) RunCallback(dropped->on_cancel);
    dropped.reset();
    RunClient();
    std::lock_guard lock(mutex_);
    cancelling_ = false;
    idle_.notify_all();
  }

  /// Runs the server's callbacks for what waits, unless another thread does.
  void RunServer() {
    const auto self = this->shared_from_this();
    std::unique_lock lock(mutex_);
    if (std::exchange(requests_.running, true)) return;
    while (server_ != nullptr && !requests_.paused) {
      auto server = server_;
      if (!requests_.queue.empty()) {
        Request request = requests_.queue.TakeFront();
        const auto client = requests_.queue.Emptied() ? client_ : nullptr;
        lock.unlock();
        if (server->on_message) {
          FinishOnError(RunGuarded([&] { server->on_message(std::move(request)); }));
        }
        if (client != nullptr) RunCallback(client->on_writable);
      } else if (half_closed_ && !std::exchange(half_close_told_, true)) {
        lock.unlock();
        if (server->on_half_close) {
          FinishOnError(RunGuarded(server->on_half_close));
        } else {
          Finish(Status::Ok());
        }
      } else {
        break;
      }
      server.reset();
      lock.lock();
    }
    requests_.running = false;
    idle_.notify_all();
  }

  void FinishOnError(Status status) {
    if (!status.ok()) Finish(std::move(status));
  }

  /// The same for the client's; on_done is the last of them.
  void RunClient() {
    const auto self = this->shared_from_this();
    std::unique_lock lock(mutex_);
    if (std::exchange(responses_.running, true)) return;
    while (client_ != nullptr && (over_ || !responses_.paused)) {
      auto client = client_;
      if (!responses_.queue.empty()) {
        Response response = responses_.queue.TakeFront();
        const auto on_writable =
            responses_.queue.Emptied() && server_ != nullptr ? server_->on_writable : nullptr;
        lock.unlock();
        const Status status = RunGuarded([&] { client->on_message(std::move(response)); });
        if (!status.ok()) End(status);
        if (on_writable != nullptr) FinishOnError(RunGuarded(*on_writable));
      } else if (over_ || finished_) {
        client_.reset();
        const Status status = final_status_;
        lock.unlock();
        (void)RunGuarded([&] { client->on_done(status); });
      } else {
        break;
      }
      client.reset();
      lock.lock();
    }
    responses_.running = false;
    idle_.notify_all();
  }

  std::mutex mutex_;
  std::condition_variable idle_;
  std::shared_ptr<ClientCallbacks> client_;  // null once told of the end
  std::shared_ptr<ServerCallbacks> server_ = std::make_shared<ServerCallbacks>();  // null once ended
  LocalLane<Request> requests_;
  LocalLane<Response> responses_;
  bool half_closed_ = false;
  bool half_close_told_ = false;
  bool finished_ = false;    // by the server
  bool over_ = false;        // cancelled, aborted or overflowed
  bool cancelling_ = false;  // the server is being told so
  Status final_status_;
};

}  // namespace conclave::platform::detail
