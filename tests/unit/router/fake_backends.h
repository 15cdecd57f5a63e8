#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "services/router/answer_sink.h"
#include "services/router/backends.h"

namespace conclave::router {

/// Services that keep what they were asked, and answer when the test says so.
class FakeBackends final : public Backends {
 public:
  using Call = platform::CallContext;

  void GetModel(const Call&, Callback<Result<ModelInfo>> done) override { get_model = std::move(done); }
  void LoadSession(const Call&, const std::string& id, Callback<Result<Session>> done) override {
    loaded_session = id;
    load_session = std::move(done);
  }
  void AppendToSession(const Call&, const std::string&, std::vector<v1::ChatMessage> turn,
                       Callback<Status> done) override {
    saved_turn = std::move(turn);
    save_session = std::move(done);
  }
  void Search(const Call&, v1::SearchRequest request, Callback<Result<v1::SearchResponse>> done) override {
    search_request = std::move(request);
    search = std::move(done);
  }
  void RenderChat(const Call&, v1::RenderChatRequest request,
                  Callback<Result<v1::RenderChatResponse>> done) override {
    render_request = std::move(request);
    render = std::move(done);
  }
  void Encode(const Call&, v1::EncodeRequest request, Callback<Result<v1::EncodeResponse>> done) override {
    encode_request = std::move(request);
    encode = std::move(done);
  }
  void Acquire(const Ticket& ticket, Callback<Status> done) override {
    ticket_ = ticket;
    acquire = std::move(done);
  }
  void Release(const Ticket& ticket, int64_t used_tokens) override {
    released.emplace_back(ticket.id, used_tokens);
  }
  std::vector<uint64_t> StartSequences(v1::AdmitSequence asked,
                                       std::vector<Callback<Result<v1::SequenceEvent>>> events) override {
    sequence = std::move(asked);
    tokens = events.front();
    answer_tokens = std::move(events);
    std::vector<uint64_t> ids;
    for (uint64_t i = 0; i < answer_tokens.size(); ++i) ids.push_back(kSequenceId + 100 * i);
    return ids;
  }
  void EndSequence(uint64_t id, bool still_running) override {
    ended_sequences.emplace_back(id, still_running);
  }
  void Record(const Call&, v1::RecordRequest request, Callback<Result<v1::RecordResponse>> done) override {
    record_request = std::move(request);
    record_requests.push_back(record_request);
    record = std::move(done);
  }

  static constexpr uint64_t kSequenceId = 41;

  Callback<Result<ModelInfo>> get_model;
  Callback<Result<Session>> load_session;
  Callback<Status> save_session;
  Callback<Result<v1::SearchResponse>> search;
  Callback<Result<v1::RenderChatResponse>> render;
  Callback<Result<v1::EncodeResponse>> encode;
  Callback<Status> acquire;
  Callback<Result<v1::SequenceEvent>> tokens;
  Callback<Result<v1::RecordResponse>> record;
  // Of several answers, in order; `tokens` is the first one's.
  std::vector<Callback<Result<v1::SequenceEvent>>> answer_tokens;

  std::string loaded_session;
  std::vector<v1::ChatMessage> saved_turn;
  v1::SearchRequest search_request;
  v1::RenderChatRequest render_request;
  v1::EncodeRequest encode_request;
  Ticket ticket_;
  v1::AdmitSequence sequence;
  v1::RecordRequest record_request;
  std::vector<v1::RecordRequest> record_requests;
  std::vector<std::pair<uint64_t, int64_t>> released;
  std::vector<std::pair<uint64_t, bool>> ended_sequences;
};

/// Keeps an answer's events.
class CollectingAnswer final : public AnswerSink {
 public:
  void Started(v1::AnswerStarted event) override { started.push_back(std::move(event)); }
  void Delta(v1::AnswerDelta event) override {
    text += event.text();
    token_ids.insert(token_ids.end(), event.token_ids().begin(), event.token_ids().end());
    logprobs += event.logprobs_size();
  }
  void Finished(v1::AnswerFinished event) override { finished.push_back(std::move(event)); }
  void Failed(v1::AnswerFailed event) override { failed_answers.push_back(std::move(event)); }
  void End() override { ++ends; }
  void Fail(const Status& status) override { failed.push_back(status); }

  bool ended() const { return ends + failed.size() == 1; }

  std::vector<v1::AnswerStarted> started;
  std::string text;
  std::vector<int32_t> token_ids;
  int logprobs = 0;
  std::vector<v1::AnswerFinished> finished;
  std::vector<v1::AnswerFailed> failed_answers;
  size_t ends = 0;
  std::vector<Status> failed;
};

}  // namespace conclave::router
