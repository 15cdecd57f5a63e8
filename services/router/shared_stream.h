#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/result.h"
#include "platform/rpc/client_call.h"

namespace conclave::router {

/// One long-lived stream to a service that all requests share: each conversation in it has an id, and what
/// comes back finds its way by that id. The stream is opened when first needed and again after it broke; a
/// break ends every conversation of it with the stream's status. Any thread may call.
template <typename Request, typename Response, typename Item>
class SharedStream : public std::enable_shared_from_this<SharedStream<Request, Response, Item>> {
 public:
  using Stream = platform::ClientBidiStream<Request, Response>;
  /// Takes what came for one conversation; runs on one of gRPC's threads and must not block. After an error
  /// nothing more comes.
  using Handler = std::function<void(Result<Item>)>;
  using Opener = std::function<Result<std::shared_ptr<Stream>>(typename Stream::Callbacks)>;
  /// The items of a message with their conversations' ids.
  using Items = std::vector<std::pair<uint64_t, Item>>;
  using Splitter = std::function<Items(Response)>;

  SharedStream(Opener opener, Splitter splitter)
      : opener_(std::move(opener)), splitter_(std::move(splitter)) {}

  /// Begins a conversation; the id is never used again.
  uint64_t Begin(Handler handler) {
    std::lock_guard lock(mutex_);
    const uint64_t id = ++last_id_;
    handlers_.emplace(id, std::make_shared<Handler>(std::move(handler)));
    return id;
  }

  /// Sends a message of a conversation. A stream that cannot take it breaks, and the handlers hear of it.
  void Send(Request request) {
    std::shared_ptr<Stream> stream;
    {
      std::lock_guard lock(mutex_);
      if (stream_ == nullptr) {
        auto opened = OpenLocked();
        if (!opened.ok()) return FailAllLocked(opened.status());
        stream_ = *std::move(opened);
      }
      stream = stream_;
    }
    stream->Write(std::move(request));
  }

  /// The same on the stream that is open. Without one there is nobody to tell: what is to be cancelled broke
  /// with it.
  void SendIfOpen(Request request) {
    std::shared_ptr<Stream> stream;
    {
      std::lock_guard lock(mutex_);
      stream = stream_;
    }
    if (stream != nullptr) stream->Write(std::move(request));
  }

  /// Ends a conversation: its handler hears nothing more (but may be running).
  void End(uint64_t id) {
    std::lock_guard lock(mutex_);
    handlers_.erase(id);
  }

 private:
  Result<std::shared_ptr<Stream>> OpenLocked() {
    const uint64_t generation = ++generation_;
    typename Stream::Callbacks callbacks;
    callbacks.on_message = [weak = this->weak_from_this()](Response response) {
      if (auto self = weak.lock()) self->Dispatch(std::move(response));
    };
    callbacks.on_done = [weak = this->weak_from_this(), generation](Status status) {
      if (auto self = weak.lock()) self->Broke(generation, std::move(status));
    };
    return opener_(std::move(callbacks));
  }

  void Dispatch(Response response) {
    for (auto& [id, item] : splitter_(std::move(response))) {
      std::shared_ptr<Handler> handler;
      {
        std::lock_guard lock(mutex_);
        const auto found = handlers_.find(id);
        if (found == handlers_.end()) continue;
        handler = found->second;
      }
      (*handler)(std::move(item));
    }
  }

  void Broke(uint64_t generation, Status status) {
    std::lock_guard lock(mutex_);
    if (generation != generation_) return;
    stream_.reset();
    FailAllLocked(status.ok() ? Unavailable("the service closed the stream") : status);
  }

  /// Handlers only send messages to actors, so they may run under the lock.
  void FailAllLocked(const Status& status) {
    for (auto& [id, handler] : std::exchange(handlers_, {})) (*handler)(status);
  }

  const Opener opener_;
  const Splitter splitter_;
  std::mutex mutex_;
  std::shared_ptr<Stream> stream_;                                   // guarded by mutex_
  uint64_t generation_ = 0;                                          // guarded by mutex_
  uint64_t last_id_ = 0;                                             // guarded by mutex_
  std::unordered_map<uint64_t, std::shared_ptr<Handler>> handlers_;  // guarded by mutex_
};

}  // namespace conclave::router
