#pragma once

#include <functional>
#include <memory>
#include <vector>

#include <caf/allowed_unsafe_message_type.hpp>

#include "services/feedback/feedback_store.h"

namespace conclave::feedback {

/// A change on its way to the disk, and who waits for it. Its callback runs exactly once, with kUnavailable
/// when the change is dropped because the service stops. Owned by one message or actor at a time.
class PendingChange {
 public:
  using Callback = std::function<void(Result<Committed>)>;

  /// `abandoned` says that nobody waits any more; a change is then not written if it is not too late. Both
  /// are called on any thread and must not block or throw.
  PendingChange(Change change, Callback done, std::function<bool()> abandoned)
      : change_(std::move(change)),
        bytes_(ChangeBytes(change_)),
        done_(std::move(done)),
        abandoned_(std::move(abandoned)) {}
  ~PendingChange() { Finish(Unavailable("the feedback service stops: try again")); }
  PendingChange(const PendingChange&) = delete;
  PendingChange& operator=(const PendingChange&) = delete;

  Change& change() { return change_; }
  size_t bytes() const { return bytes_; }
  bool abandoned() const { return abandoned_ && abandoned_(); }

  /// Only the first Finish counts.
  void Finish(Result<Committed> result) {
    if (auto done = std::exchange(done_, nullptr)) done(std::move(result));
  }

 private:
  Change change_;
  const size_t bytes_;
  Callback done_;
  std::function<bool()> abandoned_;
};

using PendingChangePtr = std::shared_ptr<PendingChange>;

/// What one synchronous write holds, and afterwards what became of each.
struct Group {
  std::vector<PendingChangePtr> changes;
  std::vector<Result<Committed>> results;
};

using GroupPtr = std::shared_ptr<Group>;

}  // namespace conclave::feedback

// They stay in this process.
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(conclave::feedback::PendingChangePtr)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(conclave::feedback::GroupPtr)
