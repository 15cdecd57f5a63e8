#include "platform/rpc/status_mapping.h"

#include <charconv>
#include <string>

#include "base/utf8.h"
#include "platform/rpc/limits.h"

namespace conclave::platform {
namespace {

constexpr int kLastCode = static_cast<int>(StatusCode::kUnauthenticated);
static_assert(static_cast<int>(grpc::StatusCode::UNAUTHENTICATED) == kLastCode);
static_assert(static_cast<int>(grpc::StatusCode::RESOURCE_EXHAUSTED) ==
              static_cast<int>(StatusCode::kResourceExhausted));
static_assert(static_cast<int>(grpc::StatusCode::DATA_LOSS) == static_cast<int>(StatusCode::kDataLoss));

/// `text` as valid UTF-8 of at most kMaxStatusMessageBytes.
std::string BoundedMessage(const std::string& text) {
  std::string bounded = ReplaceInvalidUtf8(std::string_view(text).substr(0, kMaxStatusMessageBytes));
  if (bounded.size() > kMaxStatusMessageBytes) {
    bounded.resize(ValidUtf8Prefix(std::string_view(bounded).substr(0, kMaxStatusMessageBytes)));
  }
  return bounded;
}

int64_t RetryHintOf(const grpc::ClientContext& context) {
  const auto& metadata = context.GetServerTrailingMetadata();
  const auto entry = metadata.find(kRetryPushbackKey);
  if (entry == metadata.end()) return 0;
  int64_t milliseconds = 0;
  const char* end = entry->second.data() + entry->second.size();
  const auto [stop, error] = std::from_chars(entry->second.data(), end, milliseconds);
  return error == std::errc() && stop == end && milliseconds > 0 ? milliseconds : 0;
}

}  // namespace

grpc::Status ToGrpcStatus(const Status& status) {
  if (status.ok()) return grpc::Status::OK;
  return {static_cast<grpc::StatusCode>(status.code()), BoundedMessage(status.message())};
}

void AddRetryHint(const Status& status, grpc::ServerContextBase* context) {
  if (status.ok() || status.retry_after_ms() <= 0) return;
  context->AddTrailingMetadata(kRetryPushbackKey, std::to_string(status.retry_after_ms()));
}

Status FromGrpcStatus(const grpc::Status& status, const grpc::ClientContext* context) {
  if (status.ok()) return Status::Ok();
  const int code = status.error_code();
  Status result(code > 0 && code <= kLastCode ? static_cast<StatusCode>(code) : StatusCode::kUnknown,
                status.error_message().empty() ? "the other side gave no reason" : status.error_message());
  if (context != nullptr) result.WithRetryAfterMs(RetryHintOf(*context));
  return result;
}

Status NameIfBroken(const Status& status, const std::string& service) {
  const bool broke = status.code() == StatusCode::kUnavailable || status.code() == StatusCode::kInternal ||
                     status.code() == StatusCode::kUnknown;
  return broke ? status.Annotate("the " + service + " service") : status;
}

}  // namespace conclave::platform
