#pragma once

#include <caf/all.hpp>
#include <caf/scheduler/test_coordinator.hpp>
#include <gtest/gtest.h>

#include "services/router/request_actor.h"
#include "tests/unit/router/fake_backends.h"

namespace conclave::router {

/// CAF's deterministic scheduler: nothing runs until the test says so.
struct SteppedConfig : caf::actor_system_config {
  SteppedConfig() {
    set("scheduler.policy", caf::atom("testing"));
    set("logger.verbosity", caf::atom("quiet"));
  }
};

// Tokens of the model behind a RequestTest; every other one below 50 is its id as text.
constexpr int32_t kEnd = 2;
constexpr int32_t kHi = 7;
constexpr int32_t kThere = 8;
constexpr int32_t kOneE = 30;
constexpr int32_t kNdTwo = 31;
constexpr int32_t kThree = 32;
constexpr int32_t kOneEn = 33;
constexpr int32_t kEuroBegin = 34;
constexpr int32_t kEuroRest = 35;
constexpr int32_t kNoToken = 50;

inline std::shared_ptr<const TokenTable> Tokens() {
  std::vector<std::string> texts;
  for (int32_t id = 0; id < kNoToken; ++id) texts.push_back(std::to_string(id));
  texts[kEnd] = "<end>";
  texts[kHi] = "Hi";
  texts[kThere] = " there";
  texts[kOneE] = "one E";
  texts[kNdTwo] = "ND two";
  texts[kThree] = " three";
  texts[kOneEn] = "one EN";
  texts[kEuroBegin] = "\xE2\x82";
  texts[kEuroRest] = "\xAC";
  TokenTable table;
  for (int32_t id = 0; id < kNoToken; ++id) table.Add(texts[id], id == kEnd);
  return std::make_shared<const TokenTable>(std::move(table));
}

/// One request whose services are the test.
class RequestTest : public ::testing::Test {
 protected:
  ~RequestTest() override { Leave(); }

  void Step() { dynamic_cast<caf::scheduler::test_coordinator&>(system_.scheduler()).run(); }

  void Start(RequestPlan plan) {
    platform::CallContext call;
    call.request_id = "request-1";
    call.tenant = "acme";
    actor_ = system_.spawn<RequestActor>(backends_, answer_, call, std::move(plan));
    Step();
  }

  template <typename Callback, typename Value>
  void Answer(Callback& callback, Value value) {
    ASSERT_TRUE(callback) << "this service was not asked";
    callback(std::move(value));
    Step();
  }

  void Leave() {
    if (!actor_) return;
    caf::anon_send(actor_, ClientGone{});
    actor_ = nullptr;
    Step();
  }

  static ModelInfo Model() {
    ModelInfo model{.context_length = 100, .end_token_ids = {kEnd}, .tokens = Tokens()};
    model.identity.set_name("tiny");
    model.default_sampling.set_temperature(0.25);
    model.default_sampling.set_top_p(0.5);
    model.default_sampling.set_max_tokens(40);
    model.identity.set_model_hash(std::string(64, 'a'));
    return model;
  }

  static RequestPlan ChatPlan(const std::string& text) {
    RequestPlan plan{.is_chat = true};
    v1::ChatMessage& message = plan.messages.emplace_back();
    message.set_role(v1::ROLE_USER);
    message.set_content(text);
    plan.sampling.set_seed(5);
    plan.sampling.set_max_tokens(20);
    return plan;
  }

  static v1::RenderChatResponse Rendered(const std::vector<int32_t>& token_ids) {
    v1::RenderChatResponse response;
    response.mutable_token_ids()->Add(token_ids.begin(), token_ids.end());
    return response;
  }

  /// Takes a chat to where its tokens are made.
  void StartAnswer(RequestPlan plan) {
    Start(std::move(plan));
    Answer(backends_->get_model, Result<ModelInfo>(Model()));
    Answer(backends_->render, Result<v1::RenderChatResponse>(Rendered({10, 11, 12})));
    Answer(backends_->acquire, Status::Ok());
  }

  void MakeTokens(const std::vector<int32_t>& token_ids, v1::FinishReason end = {}) {
    v1::SequenceEvent event;
    event.mutable_token_ids()->Add(token_ids.begin(), token_ids.end());
    for (const int32_t token : token_ids) {
      auto& chosen = *event.add_logprobs()->mutable_chosen();
      chosen.set_token_id(token);
      chosen.set_logprob(-0.5f * static_cast<float>(token));
    }
    if (end != v1::FINISH_REASON_UNSPECIFIED) {
      event.mutable_end()->set_finish_reason(end);
      event.mutable_end()->set_decode_us(1000);
    }
    Answer(backends_->tokens, Result<v1::SequenceEvent>(std::move(event)));
  }

  void MakeRecord() {
    v1::RecordResponse made;
    made.set_vote_token("vote");
    Answer(backends_->record, Result<v1::RecordResponse>(std::move(made)));
  }

  SteppedConfig config_;
  caf::actor_system system_{config_};
  std::shared_ptr<FakeBackends> backends_ = std::make_shared<FakeBackends>();
  std::shared_ptr<CollectingAnswer> answer_ = std::make_shared<CollectingAnswer>();
  caf::actor actor_;
};

}  // namespace conclave::router
