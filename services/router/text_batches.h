#pragma once

#include <mutex>
#include <optional>
#include <utility>

#include "conclave/v1/tokenizer.pb.h"

namespace conclave::router {

/// Gathers what the answers push to the tokenizer: while a message is under way, what comes meanwhile waits
/// and goes together as the next one. So an engine's step costs two messages, not one for each of its
/// sequences, and a sequence that is alone waits for nobody. Any thread may call.
class TextBatches {
 public:
  /// Takes the next tokens of a sequence; the message to send now, if none is under way.
  std::optional<v1::DecodeRequest> Push(v1::DecodeRequest part) {
    std::lock_guard lock(mutex_);
    if (!std::exchange(under_way_, true)) return part;
    if (waiting_.has_value()) {
      *waiting_->add_more() = std::move(part);
    } else {
      waiting_ = std::move(part);
    }
    return std::nullopt;
  }

  /// The message under way was answered; the next one to send, if any waits.
  std::optional<v1::DecodeRequest> Answered() {
    std::lock_guard lock(mutex_);
    under_way_ = waiting_.has_value();
    return std::exchange(waiting_, std::nullopt);
  }

  /// There is no stream any more: nothing is under way, and the sequences of what waits ended with it.
  void Broke() {
    std::lock_guard lock(mutex_);
    under_way_ = false;
    waiting_.reset();
  }

 private:
  std::mutex mutex_;
  bool under_way_ = false;
  std::optional<v1::DecodeRequest> waiting_;
};

}  // namespace conclave::router
