#include "platform/rpc/call_interceptor.h"

#include <algorithm>
#include <chrono>
#include <string>
#include <string_view>
#include <utility>

#include <google/protobuf/descriptor.h>

#include "base/status.h"
#include "platform/identity.h"
#include "platform/log/log.h"
#include "platform/rpc/call_context.h"
#include "platform/rpc/call_marks.h"
#include "platform/rpc/limits.h"
#include "platform/rpc/metrics.h"

namespace conclave::platform::detail {
namespace {

using grpc::experimental::InterceptionHookPoints;
using grpc::experimental::ServerRpcInfo;

/// The method's name when this program knows it, else "other": strangers choose it, and each name would be a
/// series of every metric, and a line of the log, for good.
std::string KnownMethod(std::string_view path) {
  if (path == "/grpc.health.v1.Health/Check" || path == "/grpc.health.v1.Health/Watch")
    return std::string(path);
  std::string name(path.substr(path.starts_with('/') ? 1 : 0));
  std::replace(name.begin(), name.end(), '/', '.');
  const auto* method = google::protobuf::DescriptorPool::generated_pool()->FindMethodByName(name);
  return method == nullptr ? "other" : std::string(path);
}

class CallInterceptor final : public grpc::experimental::Interceptor {
 public:
  CallInterceptor(ServerRpcInfo* info, std::shared_ptr<CallMonitor> monitor)
      : monitor_(std::move(monitor)),
        method_(KnownMethod(info->method())),
        holds_up_drain_(!method_.starts_with("/grpc.") &&
                        info->type() != ServerRpcInfo::Type::BIDI_STREAMING) {
    if (holds_up_drain_) ++monitor_->running_calls;
    if (monitor_->metrics != nullptr) monitor_->metrics->Gauge(kRunningCallsMetric).Increment();
  }

  ~CallInterceptor() override {
    if (holds_up_drain_) --monitor_->running_calls;
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - started_).count();
    const std::string code_name(StatusCodeName(static_cast<StatusCode>(code_)));
    if (monitor_->metrics != nullptr) {
      monitor_->metrics->Gauge(kRunningCallsMetric).Decrement();
      monitor_->metrics->Counter(kCallsMetric, {{"method", method_}, {"code", code_name}}).Increment();
      monitor_->metrics->Histogram(kCallDurationMetric, DurationBucketsS(), {{"method", method_}})
          .Observe(seconds);
    }
    Log(Level(), "rpc", "call ended",
        {{"request_id", request_id_},
         {"method", method_},
         {"code", code_name},
         {"seconds", seconds},
         {"reason", message_}});
  }

  void Intercept(grpc::experimental::InterceptorBatchMethods* methods) override {
    if (methods->QueryInterceptionHookPoint(InterceptionHookPoints::POST_RECV_INITIAL_METADATA)) {
      MarkMetadata(methods->GetRecvInitialMetadata());
    }
    if (methods->QueryInterceptionHookPoint(InterceptionHookPoints::PRE_SEND_STATUS)) {
      const grpc::Status status = methods->GetSendStatus();
      code_ = status.error_code();
      message_ = status.error_message();
    }
    methods->Proceed();
  }

 private:
  using Metadata = std::multimap<grpc::string_ref, grpc::string_ref>;

  void MarkMetadata(Metadata* metadata) {
    metadata->erase(kDrainingMark);
    if (monitor_->draining) metadata->emplace(kDrainingMark, "1");
    metadata->erase(kInternalMark);
    if (monitor_->IsInternal(method_)) metadata->emplace(kInternalMark, "1");
    const auto entry = metadata->find(kRequestIdKey);
    if (entry != metadata->end()) request_id_.assign(entry->second.data(), entry->second.size());
    if (IsIdentifier(request_id_, kMaxRequestIdBytes)) return;
    // The handler is to know the call by the name that the log will give it; this object lives as long as the
    // metadata.
    request_id_ = RandomId();
    metadata->erase(kRequestIdKey);
    metadata->emplace(kRequestIdKey, request_id_);
  }

  LogLevel Level() const {
    // The library ends a watch whose client left with UNKNOWN.
    if (method_.starts_with("/grpc.health.")) return LogLevel::kDebug;
    switch (static_cast<StatusCode>(code_)) {
      case StatusCode::kOk:
      case StatusCode::kCancelled: return LogLevel::kDebug;
      case StatusCode::kUnknown:
      case StatusCode::kInternal:
      case StatusCode::kDataLoss: return LogLevel::kError;
      default: return LogLevel::kInfo;
    }
  }

  const std::shared_ptr<CallMonitor> monitor_;
  const std::string method_;
  const bool holds_up_drain_;
  const std::chrono::steady_clock::time_point started_ = std::chrono::steady_clock::now();
  std::string request_id_;
  int code_ = static_cast<int>(StatusCode::kCancelled);  // a call that never sent a status was cancelled
  std::string message_;
};

class CallInterceptorFactory final : public grpc::experimental::ServerInterceptorFactoryInterface {
 public:
  explicit CallInterceptorFactory(std::shared_ptr<CallMonitor> monitor) : monitor_(std::move(monitor)) {}

  grpc::experimental::Interceptor* CreateServerInterceptor(ServerRpcInfo* info) override {
    if (!monitor_->IsWatched(info->method())) return nullptr;
    return new CallInterceptor(info, monitor_);
  }

 private:
  std::shared_ptr<CallMonitor> monitor_;
};

}  // namespace

bool CallMonitor::IsInternal(std::string_view method) const {
  return std::ranges::any_of(internal_methods,
                             [&](const std::string& prefix) { return method.starts_with(prefix); });
}

bool CallMonitor::IsWatched(std::string_view method) const {
  return std::ranges::find(unwatched_methods, method) == unwatched_methods.end() || IsInternal(method);
}

std::unique_ptr<grpc::experimental::ServerInterceptorFactoryInterface> MakeCallInterceptorFactory(
    std::shared_ptr<CallMonitor> monitor) {
  return std::make_unique<CallInterceptorFactory>(std::move(monitor));
}

}  // namespace conclave::platform::detail
