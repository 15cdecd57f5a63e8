#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

namespace conclave {

/// Why an operation failed. The values are gRPC's canonical codes, so that the edge of a service maps
/// them one to one (https://grpc.github.io/grpc/core/md_doc_statuscodes.html).
enum class StatusCode : int {
  kOk = 0,
  kCancelled = 1,
  kUnknown = 2,
  kInvalidArgument = 3,
  kDeadlineExceeded = 4,
  kNotFound = 5,
  kAlreadyExists = 6,
  kPermissionDenied = 7,
  kResourceExhausted = 8,
  kFailedPrecondition = 9,
  kAborted = 10,
  kOutOfRange = 11,
  kUnimplemented = 12,
  kInternal = 13,
  kUnavailable = 14,
  kDataLoss = 15,
  kUnauthenticated = 16,
};

/// The code's name as gRPC writes it, for example "INVALID_ARGUMENT".
std::string_view StatusCodeName(StatusCode code);

/// Success, or a code with one sentence that says what was wrong and what to do about it.
/// A value type; any thread may copy it. An empty message is only valid for kOk.
class [[nodiscard]] Status {
 public:
  Status() = default;
  Status(StatusCode code, std::string message) : code_(code), message_(std::move(message)) {}

  static Status Ok() { return {}; }

  bool ok() const { return code_ == StatusCode::kOk; }
  StatusCode code() const { return code_; }
  const std::string& message() const { return message_; }

  /// For kResourceExhausted and kUnavailable: when a retry is worth while; 0 when unknown.
  int64_t retry_after_ms() const { return retry_after_ms_; }
  Status& WithRetryAfterMs(int64_t ms) {
    retry_after_ms_ = ms;
    return *this;
  }

  /// The same status with `where` and ": " before its message.
  Status Annotate(std::string_view where) const;

  /// "CODE: message", for logs.
  std::string ToString() const;

  friend bool operator==(const Status&, const Status&) = default;

 private:
  StatusCode code_ = StatusCode::kOk;
  std::string message_;
  int64_t retry_after_ms_ = 0;
};

Status Cancelled(std::string message);
Status InvalidArgument(std::string message);
Status DeadlineExceeded(std::string message);
Status NotFound(std::string message);
Status AlreadyExists(std::string message);
Status PermissionDenied(std::string message);
Status ResourceExhausted(std::string message);
Status FailedPrecondition(std::string message);
Status OutOfRange(std::string message);
Status Unimplemented(std::string message);
Status Internal(std::string message);
Status Unavailable(std::string message);
Status DataLoss(std::string message);
Status Unauthenticated(std::string message);

}  // namespace conclave
