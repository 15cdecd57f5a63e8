#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "base/result.h"
#include "conclave/v1/feedback.pb.h"
#include "conclave/v1/feedback_storage.pb.h"
#include "platform/storage/durable_store.h"
#include "services/feedback/staged_writes.h"

namespace conclave::feedback {

/// An answer to store. It passed CheckRecord and has a tenant.
struct RecordChange {
  v1::RecordRequest record;
  /// When its vote token expires, in milliseconds since 1970.
  int64_t expires_ms = 0;
};

/// A rating to store. It passed CheckRating, and its tokens passed Verify and CheckClaims.
struct RateChange {
  v1::RateRequest rating;
  v1::VoteTokenClaims claims;
  /// For a comparison: of the other answer's token.
  std::optional<v1::VoteTokenClaims> other_claims;
  /// In milliseconds since 1970.
  int64_t rated_ms = 0;
};

using Change = std::variant<RecordChange, RateChange>;

/// About how many bytes a change holds.
size_t ChangeBytes(const Change& change);

/// What a change that is on disk gave.
struct Committed {
  /// Of a record: what its vote token says. The same each time the same answer is recorded.
  v1::VoteTokenClaims claims;
  /// Of a rating.
  std::string rating_id;
};

/// Answers and ratings in a DurableStore (record_keys.h has the layout). A vote token is used by storing the
/// rating under the token's nonce, in one batch with everything else: neither a crash nor a race, nor a batch
/// that failed but reappears from the log after a crash, can make one token count twice. Ratings get their
/// place in the order here, from a number and not from a clock. One thread at a time.
class FeedbackStore {
 public:
  /// Writes a batch so that it survives a power loss, or says why it did not.
  using BatchWriter = std::function<Status(platform::WriteBatch&&)>;

  /// `store` must outlive this. Each group is one synchronous write.
  explicit FeedbackStore(platform::DurableStore& store);
  /// The same with another way to write, for tests of failing disks.
  FeedbackStore(platform::DurableStore& store, BatchWriter write) : store_(store), write_(std::move(write)) {}

  /// Decides the changes in order, each seeing those before it, and writes all that are accepted with one
  /// synchronous write. A change's result is its own: kNotFound (no such response), kAlreadyExists (token
  /// used; response_id taken), kFailedPrecondition (a comparison of answers to different prompts),
  /// kPermissionDenied (not the token that was made for the response). When the write fails, every change
  /// that was part of it has the write's error and nothing of it happened.
  std::vector<Result<Committed>> Commit(std::span<const Change> changes);

 private:
  Result<Committed> Stage(StagedWrites& staged, const RecordChange& change);
  Result<Committed> Stage(StagedWrites& staged, const RateChange& change);
  Status Write(platform::WriteBatch&& batch);

  platform::DurableStore& store_;
  BatchWriter write_;
  bool last_write_failed_ = false;
};

}  // namespace conclave::feedback
