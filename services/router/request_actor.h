#pragma once

#include <chrono>
#include <deque>
#include <memory>
#include <optional>
#include <string>

#include <caf/all.hpp>

#include "platform/rpc/call_context.h"
#include "services/router/answer_sink.h"
#include "services/router/answer_text.h"
#include "services/router/backends.h"
#include "services/router/request_plan.h"

namespace conclave::router {

// What a request actor hears from the services, in the order of its plan.
struct ModelKnown {
  Result<ModelInfo> model;
};
struct SessionLoaded {
  Result<Session> session;
};
struct PassagesFound {
  Result<v1::SearchResponse> found;
};
struct PromptReady {
  Result<std::vector<int32_t>> token_ids;
};
struct TurnGranted {
  Status status;
};
struct TokensMade {
  Result<v1::SequenceEvent> event;
};
struct TextMade {
  Result<v1::DecodeResponse> part;
};
struct SessionSaved {
  Status status;
};
struct AnswerRecorded {
  Result<v1::RecordResponse> record;
};
/// The client is gone, or its deadline passed.
struct ClientGone {};

/// Carries out one request: model, session, passages, prompt, turn, tokens and text, session, record.
/// Whatever it started is ended when it ends, in whatever way. One actor a request.
class RequestActor : public caf::event_based_actor {
 public:
  RequestActor(caf::actor_config& config, std::shared_ptr<Backends> backends,
               std::shared_ptr<AnswerSink> sink, platform::CallContext call, RequestPlan plan);

  caf::behavior make_behavior() override;
  void on_exit() override;
  const char* name() const override { return "request"; }

 private:
  using Clock = std::chrono::steady_clock;

  /// A callback that sends what it gets, wrapped in `Message`, to this actor.
  template <typename Message, typename T>
  std::function<void(T)> Send();

  void OnModel(const ModelKnown& message);
  void OnSession(const SessionLoaded& message);
  void FindPassages();
  void OnPassages(const PassagesFound& message);
  void MakePrompt();
  void OnPrompt(const PromptReady& message);
  void OnTurn(const TurnGranted& message);
  void OnTokens(const TokensMade& message);
  void PushTokens();
  void OnText(const TextMade& message);
  void StopDecoding();
  void EndAtStopText();
  void SaveSession();
  void RecordAnswer();
  void OnRecorded(const AnswerRecorded& message);
  void Fail(const Status& status);

  std::shared_ptr<Backends> backends_;
  std::shared_ptr<AnswerSink> sink_;
  platform::CallContext call_;
  RequestPlan plan_;
  Clock::time_point started_;

  ModelInfo model_;
  std::string response_id_;
  std::vector<v1::ChatMessage> messages_;  ///< what the template renders
  std::vector<v1::Passage> passages_;
  std::vector<int32_t> prompt_;
  std::optional<Ticket> ticket_;
  uint64_t sequence_id_ = 0;
  bool decoding_ = false;
  std::deque<v1::SequenceEvent> unpushed_;  ///< at most the request's max_tokens
  uint64_t text_id_ = 0;
  bool text_open_ = false;
  AnswerText answer_;
  double turn_ms_ = 0.0;  ///< from the start until the turn came
  std::optional<double> first_token_ms_;
  v1::SequenceEnd end_;
};

}  // namespace conclave::router

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(conclave::router::ModelKnown)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(conclave::router::SessionLoaded)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(conclave::router::PassagesFound)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(conclave::router::PromptReady)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(conclave::router::TurnGranted)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(conclave::router::TokensMade)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(conclave::router::TextMade)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(conclave::router::SessionSaved)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(conclave::router::AnswerRecorded)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(conclave::router::ClientGone)
