#include "services/router/forwards.h"

#include <string>
#include <utility>

#include "services/router/limits.h"

namespace conclave::router {
namespace {

platform::ForwardOptions OptionsFor(const std::string& service) {
  return {.service = service,
          .call_timeout = std::chrono::milliseconds(kLongestRequestMs),
          .stream_timeout = std::chrono::milliseconds(kLongestForwardedStreamMs),
          .most_open_calls = kMostForwardedCalls};
}

/// The face for a service in another process; null when it is in this one.
template <typename Forward>
Result<std::unique_ptr<Forward>> MakeForward(platform::ChannelRegistry& channels,
                                             const std::string& service) {
  if (channels.IsInProcess(service)) return std::unique_ptr<Forward>();
  CONCLAVE_ASSIGN_OR_RETURN(auto channel, channels.GetOptional(service));
  return std::make_unique<Forward>(std::move(channel), OptionsFor(service));
}

template <typename Service, typename Forward>
void Add(std::vector<platform::NamedService>& services, const std::unique_ptr<Forward>& forward) {
  if (forward == nullptr) return;
  services.push_back({forward->configured() ? Service::service_full_name() : "", forward.get()});
}

}  // namespace

Result<Forwards> Forwards::Make(platform::ChannelRegistry& channels) {
  Forwards forwards;
  CONCLAVE_ASSIGN_OR_RETURN(forwards.feedback_, MakeForward<FeedbackForward>(channels, "feedback"));
  CONCLAVE_ASSIGN_OR_RETURN(forwards.retriever_, MakeForward<RetrieverForward>(channels, "retriever"));
  CONCLAVE_ASSIGN_OR_RETURN(forwards.tokenizer_, MakeForward<TokenizerForward>(channels, "tokenizer"));
  return forwards;
}

std::vector<platform::NamedService> Forwards::services() const {
  std::vector<platform::NamedService> services;
  Add<v1::FeedbackService>(services, feedback_);
  Add<v1::RetrieverService>(services, retriever_);
  Add<v1::TokenizerService>(services, tokenizer_);
  return services;
}

bool Forwards::idle() const {
  const auto rests = [](const auto& forward) { return forward == nullptr || forward->idle(); };
  return rests(feedback_) && rests(retriever_) && rests(tokenizer_);
}

}  // namespace conclave::router
