#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <caf/all.hpp>

#include "platform/rpc/call_context.h"
#include "services/router/answer_progress.h"
#include "services/router/answer_sink.h"
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
// What is heard of one of the answers says which, from 0.
struct TokensMade {
  size_t answer = 0;
  Result<v1::SequenceEvent> event;
};
struct SessionSaved {
  Status status;
};
struct AnswerRecorded {
  size_t answer = 0;
  Result<v1::RecordResponse> record;
};
/// The client is gone, or its deadline passed.
struct ClientGone {};

/// Carries out one request: model, session, passages, prompt, turn, and then for each of its answers, side by
/// side, tokens and text, session, record. An answer that fails leaves the others alone; the request fails
/// with its last one. Whatever it started is ended when it ends, in whatever way. One actor a request.
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
  /// The same for what is heard of one answer.
  template <typename Message, typename T>
  std::function<void(T)> SendOf(size_t answer);

  void OnModel(const ModelKnown& message);
  void PlanAnswers();
  void OnSession(const SessionLoaded& message);
  void FindPassages();
  void OnPassages(const PassagesFound& message);
  void MakePrompt();
  void OnPrompt(const PromptReady& message);
  int64_t MostTokens() const;
  int64_t UsedTokens() const;
  void OnTurn(const TurnGranted& message);
  void TellStarted(size_t answer);
  void StartDecoding();
  void OnTokens(const TokensMade& message);
  void StopDecoding(AnswerProgress& answer);
  void EndAtStopText(AnswerProgress& answer);
  void SaveSession(size_t answer);
  void RecordAnswer(size_t answer);
  void OnRecorded(const AnswerRecorded& message);
  v1::AnswerFinished FinishedOf(const AnswerProgress& answer) const;
  void FailAnswer(size_t answer, const Status& status);
  void EndAnswer(size_t answer);
  void Fail(const Status& status);

  std::shared_ptr<Backends> backends_;
  std::shared_ptr<AnswerSink> sink_;
  platform::CallContext call_;
  RequestPlan plan_;
  Clock::time_point started_;

  ModelInfo model_;
  std::vector<v1::ChatMessage> messages_;  ///< what the template renders
  std::vector<v1::Passage> passages_;
  std::vector<int32_t> prompt_;
  std::optional<Ticket> ticket_;
  std::vector<AnswerProgress> answers_;
  double turn_ms_ = 0.0;  ///< from the start until the turn came
  Status first_failure_;  ///< of an answer
  size_t failures_ = 0;   ///< of answers
};

}  // namespace conclave::router

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(conclave::router::ModelKnown)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(conclave::router::SessionLoaded)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(conclave::router::PassagesFound)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(conclave::router::PromptReady)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(conclave::router::TurnGranted)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(conclave::router::TokensMade)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(conclave::router::SessionSaved)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(conclave::router::AnswerRecorded)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(conclave::router::ClientGone)
