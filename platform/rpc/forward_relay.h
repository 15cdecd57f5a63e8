#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <utility>

#include "base/result.h"
#include "platform/rpc/call_context.h"
#include "platform/rpc/message_queue.h"
#include "platform/rpc/status_mapping.h"

/// What stands behind forwarder.h.
namespace conclave::platform::detail {

/// The queue of either direction of a forwarded stream.
inline constexpr StreamOptions kOneMessage{.max_queued_messages = 1};

class ForwardedCall;

/// The calls to one service that are under way. Lives as long as the last of them. Any thread may call.
class ForwardedCalls : public std::enable_shared_from_this<ForwardedCalls> {
 public:
  ForwardedCalls(std::string service, int64_t most_open)
      : service_(std::move(service)), most_open_(most_open) {}

  /// Counts a call for as long as the result lives. Errors: UNIMPLEMENTED (not `configured`),
  /// RESOURCE_EXHAUSTED with a retry hint.
  Result<std::shared_ptr<ForwardedCall>> Enter(bool configured);

  bool idle() const { return open_ == 0; }

 private:
  friend class ForwardedCall;
  const std::string service_;
  const int64_t most_open_;
  std::atomic<int64_t> open_ = 0;
};

/// A call's place among them.
class ForwardedCall {
 public:
  /// Counted already.
  explicit ForwardedCall(std::shared_ptr<ForwardedCalls> calls) : calls_(std::move(calls)) {}
  ~ForwardedCall() { --calls_->open_; }
  ForwardedCall(const ForwardedCall&) = delete;

  const std::string& service() const { return calls_->service_; }

 private:
  const std::shared_ptr<ForwardedCalls> calls_;
};

/// PERMISSION_DENIED when a caller that may not choose its tenant names another one than its own.
Status CheckNamedTenant(const CallContext& call, const std::string& named);

template <typename Message>
Status CheckTenantOf(const CallContext& call, const Message& message) {
  if constexpr (requires { message.tenant(); }) return CheckNamedTenant(call, message.tenant());
  return Status::Ok();
}

/// One stream that is passed on: `Caller` is a server's stream, `Behind` a client's. The callbacks of both
/// keep it alive; they are dropped when their stream is over. Any thread may call.
template <typename Caller, typename Behind>
class ForwardRelay : public std::enable_shared_from_this<ForwardRelay<Caller, Behind>> {
 public:
  ForwardRelay(std::shared_ptr<Caller> caller, std::shared_ptr<ForwardedCall> place)
      : caller_(std::move(caller)), place_(std::move(place)) {}

  /// `start` starts the stream behind, whose callbacks call this.
  template <typename Start>
  void Begin(Start&& start) {
    auto self = this->shared_from_this();
    caller_->OnWritable([self] { self->behind()->ResumeReading(); });
    {
      // The first callback may come before there is a handle to pause with.
      std::lock_guard lock(mutex_);
      behind_ = start();
    }
    caller_->OnCancel([self] { self->behind()->Cancel(); });
  }

  /// The next message is read when the caller has taken this one, and so is the stream's end.
  template <typename Message>
  void FromService(Message message) {
    behind()->PauseReading();
    caller_->Write(std::move(message));
  }
  void ServiceEnded(const Status& status) { caller_->Finish(NameIfBroken(status, place_->service())); }

  /// The next message is read when the service has taken this one.
  template <typename Message>
  void FromCaller(Message message) {
    caller_->PauseReading();
    behind()->Write(std::move(message));
  }
  void CallerHalfClosed() { behind()->HalfClose(); }

  /// Ends both streams, the caller's with `status`.
  void Refuse(const Status& status) {
    caller_->Finish(status);
    behind()->Cancel();
  }

 private:
  std::shared_ptr<Behind> behind() {
    std::lock_guard lock(mutex_);
    return behind_;
  }

  const std::shared_ptr<Caller> caller_;
  const std::shared_ptr<ForwardedCall> place_;
  std::mutex mutex_;
  std::shared_ptr<Behind> behind_;  // guarded by mutex_
};

}  // namespace conclave::platform::detail
