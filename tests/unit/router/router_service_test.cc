#include "services/router/router_service.h"

#include <atomic>

#include <gmock/gmock.h>

#include "platform/module.h"
#include "platform/rpc/server.h"
#include "platform/rpc/status_mapping.h"
#include "platform/state/open_state_store.h"
#include "services/router/session_actor.h"
#include "tests/support/temporary_folder.h"
#include "tests/unit/platform/test_support.h"

namespace conclave::router {
namespace {

using platform::test::Eventually;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

/// Services that answer at once: every prompt has two tokens, and the answer is "Hi". With `endless` the
/// answer never begins. Any thread may call.
class AnsweringBackends final : public Backends {
 public:
  using Call = platform::CallContext;

  void GetModel(const Call&, Callback<Result<ModelInfo>> done) override {
    TokenTable tokens;
    for (int32_t id = 0; id < 100; ++id) tokens.Add("Hi", false);
    ModelInfo model{.context_length = 100, .end_token_ids = {2}};
    model.tokens = std::make_shared<const TokenTable>(std::move(tokens));
    model.identity.set_name("tiny");
    done(std::move(model));
  }
  void LoadSession(const Call&, const std::string&, Callback<Result<Session>> done) override {
    done(Session{});
  }
  void AppendToSession(const Call&, const std::string&, std::vector<v1::ChatMessage>,
                       Callback<Status> done) override {
    done(Status::Ok());
  }
  void Search(const Call&, v1::SearchRequest, Callback<Result<v1::SearchResponse>> done) override {
    done(v1::SearchResponse());
  }
  void RenderChat(const Call&, v1::RenderChatRequest,
                  Callback<Result<v1::RenderChatResponse>> done) override {
    v1::RenderChatResponse response;
    for (const int32_t token : {10, 11}) response.add_token_ids(token);
    done(std::move(response));
  }
  void Encode(const Call&, v1::EncodeRequest, Callback<Result<v1::EncodeResponse>> done) override {
    v1::EncodeResponse response;
    for (const int32_t token : {10, 11}) response.add_token_ids(token);
    done(std::move(response));
  }
  void Acquire(const Ticket&, Callback<Status> done) override { done(Status::Ok()); }
  void Release(const Ticket&, int64_t) override { ++released; }
  std::vector<uint64_t> StartSequences(v1::AdmitSequence,
                                       std::vector<Callback<Result<v1::SequenceEvent>>> events) override {
    Callback<Result<v1::SequenceEvent>>& event = events.front();
    if (endless) {
      std::lock_guard lock(mutex_);
      sequences_.push_back(std::move(event));
      ++started;
      return {sequences_.size()};
    }
    v1::SequenceEvent made;
    made.add_token_ids(7);
    made.mutable_end()->set_finish_reason(v1::FINISH_REASON_LENGTH);
    event(std::move(made));
    return {kEndedSequence};
  }
  void EndSequence(uint64_t id, bool still_running) override {
    {
      std::lock_guard lock(mutex_);
      if (id != kEndedSequence) sequences_[id - 1] = nullptr;
    }
    stopped += still_running ? 1 : 0;
  }
  void Record(const Call&, v1::RecordRequest, Callback<Result<v1::RecordResponse>> done) override {
    v1::RecordResponse response;
    response.set_vote_token("vote");
    done(std::move(response));
  }

  /// One token more for the endless answer that was started as the `index`-th, if it goes on.
  void MakeToken(size_t index) {
    Callback<Result<v1::SequenceEvent>> event;
    {
      std::lock_guard lock(mutex_);
      event = sequences_[index];
    }
    v1::SequenceEvent made;
    made.add_token_ids(7);
    if (event) event(std::move(made));
  }

  std::atomic<bool> endless = false;
  std::atomic<int> started = 0;  ///< endless answers
  std::atomic<int> stopped = 0;
  std::atomic<int> released = 0;

 private:
  static constexpr uint64_t kEndedSequence = 0;  // the id of an answer that was complete at once

  std::mutex mutex_;
  std::vector<Callback<Result<v1::SequenceEvent>>> sequences_;  // guarded by mutex_
};

/// The public face behind an in-process channel.
class RouterServiceTest : public ::testing::Test {
 protected:
  static constexpr int64_t kMostOpen = 2;

  void SetUp() override {
    store_ = *platform::OpenRocksDbStateStore(folder_.path() + "/state", [] { return int64_t{1}; });
    sessions_ = actors_.get().spawn<SessionActor, caf::detached>(*store_, 0);
    service_ = std::make_unique<RouterService>(actors_.get(), backends_, sessions_, kMostOpen);
    auto server = platform::Server::Start({}, {{v1::RouterService::service_full_name(), service_.get()}});
    ASSERT_TRUE(server.ok()) << server.status().ToString();
    server_ = *std::move(server);
    stub_ = v1::RouterService::NewStub(server_->InProcessChannel());
  }

  void TearDown() override {
    stub_.reset();
    if (server_) server_->Shutdown(std::chrono::milliseconds(0));
    server_.reset();
    EXPECT_TRUE(Eventually([&] { return service_->Drained(); })) << "a request was left behind";
    caf::scoped_actor self{actors_.get()};
    self->send_exit(sessions_, caf::exit_reason::user_shutdown);
    self->wait_for(sessions_);
  }

  static void SetDeadline(grpc::ClientContext& context) {
    context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(60));
  }

  static v1::ChatRequest Question(const std::string& text) {
    v1::ChatRequest request;
    request.add_messages()->set_role(v1::ROLE_USER);
    request.mutable_messages(0)->set_content(text);
    return request;
  }

  grpc::Status Ask(const std::string& text, std::vector<v1::ChatResponse>* events, std::string* pushback) {
    grpc::ClientContext context;
    SetDeadline(context);
    auto reader = stub_->Chat(&context, Question(text));
    for (v1::ChatResponse event; reader->Read(&event);) events->push_back(event);
    const grpc::Status status = reader->Finish();
    const auto hint = context.GetServerTrailingMetadata().find(platform::kRetryPushbackKey);
    if (hint != context.GetServerTrailingMetadata().end())
      pushback->assign(hint->second.data(), hint->second.size());
    return status;
  }

  /// An answer under way that does not end by itself.
  struct OpenAnswer {
    grpc::ClientContext context;
    std::unique_ptr<grpc::ClientReader<v1::ChatResponse>> reader;
  };
  std::unique_ptr<OpenAnswer> Open() {
    auto answer = std::make_unique<OpenAnswer>();
    SetDeadline(answer->context);
    answer->reader = stub_->Chat(&answer->context, Question("Hello?"));
    v1::ChatResponse started;
    EXPECT_TRUE(answer->reader->Read(&started));
    EXPECT_TRUE(started.has_started());
    return answer;
  }

  conclave::testing::TemporaryFolder folder_;
  std::unique_ptr<platform::StateStore> store_;
  platform::ActorSystem actors_;
  std::shared_ptr<AnsweringBackends> backends_ = std::make_shared<AnsweringBackends>();
  caf::actor sessions_;
  std::unique_ptr<RouterService> service_;
  std::unique_ptr<platform::Server> server_;
  std::unique_ptr<v1::RouterService::Stub> stub_;
};

TEST_F(RouterServiceTest, ChatIsStartedDeltasAndFinished) {
  std::vector<v1::ChatResponse> events;
  std::string pushback;
  const grpc::Status status = Ask("Hello?", &events, &pushback);
  ASSERT_TRUE(status.ok()) << status.error_message();
  ASSERT_EQ(events.size(), 3u);
  EXPECT_EQ(events[0].started().model().name(), "tiny");
  EXPECT_EQ(events[0].started().prompt_tokens(), 2u);
  EXPECT_EQ(events[1].delta().text(), "Hi");
  EXPECT_THAT(events[1].delta().token_ids(), ElementsAre(7));
  EXPECT_EQ(events[2].finished().finish_reason(), v1::FINISH_REASON_LENGTH);
  EXPECT_EQ(events[2].finished().vote_token(), "vote");
  EXPECT_EQ(pushback, "");
}

TEST_F(RouterServiceTest, CompleteHasTheSameEvents) {
  grpc::ClientContext context;
  SetDeadline(context);
  v1::CompleteRequest request;
  request.set_prompt("Once");
  auto reader = stub_->Complete(&context, request);
  std::vector<v1::CompleteResponse> events;
  for (v1::CompleteResponse event; reader->Read(&event);) events.push_back(event);
  ASSERT_TRUE(reader->Finish().ok());
  ASSERT_EQ(events.size(), 3u);
  EXPECT_TRUE(events[0].has_started());
  EXPECT_EQ(events[1].delta().text(), "Hi");
  EXPECT_TRUE(events[2].has_finished());
}

TEST_F(RouterServiceTest, WrongRequestIsRefusedInOneSentence) {
  std::vector<v1::ChatResponse> events;
  std::string pushback;
  const grpc::Status status = Ask("", &events, &pushback);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(status.error_message(), HasSubstr("newest message is empty"));
  EXPECT_TRUE(events.empty());
}

TEST_F(RouterServiceTest, NoMoreRequestsAreOpenThanMayBe) {
  backends_->endless = true;
  auto first = Open();
  auto second = Open();
  std::vector<v1::ChatResponse> events;
  std::string pushback;
  EXPECT_EQ(Ask("Hello?", &events, &pushback).error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_NE(pushback, "") << "it does not say when to come again";
  EXPECT_TRUE(events.empty());
  first->context.TryCancel();
  EXPECT_EQ(first->reader->Finish().error_code(), grpc::StatusCode::CANCELLED);
  backends_->endless = false;
  EXPECT_TRUE(Eventually([&] { return Ask("Hello?", &events, &pushback).ok(); }));
  second->context.TryCancel();
  EXPECT_EQ(second->reader->Finish().error_code(), grpc::StatusCode::CANCELLED);
}

TEST_F(RouterServiceTest, VanishedClientStopsItsSequence) {
  backends_->endless = true;
  auto answer = Open();
  answer->context.TryCancel();
  EXPECT_EQ(answer->reader->Finish().error_code(), grpc::StatusCode::CANCELLED);
  EXPECT_TRUE(Eventually([&] { return backends_->stopped == 1 && backends_->released == 1; }));
}

TEST_F(RouterServiceTest, ClientThatDoesNotReadLosesItsOwnAnswerAndNobodyElses) {
  constexpr int kMoreThanAStreamHolds = 200'000;
  backends_->endless = true;
  auto sleeping = Open();
  ASSERT_TRUE(Eventually([&] { return backends_->started == 1; }));
  auto reading = Open();
  ASSERT_TRUE(Eventually([&] { return backends_->started == 2; }));
  v1::ChatResponse event;
  for (int made = 0; backends_->stopped == 0; ++made) {
    ASSERT_LT(made, kMoreThanAStreamHolds) << "the answer is made although nobody reads it";
    backends_->MakeToken(0);
    backends_->MakeToken(1);
    ASSERT_TRUE(reading->reader->Read(&event)) << "another client's answer was lost";
    EXPECT_EQ(event.delta().text(), "Hi");
  }
  EXPECT_TRUE(Eventually([&] { return backends_->released == 1; }));
  while (sleeping->reader->Read(&event)) EXPECT_EQ(event.delta().text(), "Hi");
  EXPECT_EQ(sleeping->reader->Finish().error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  backends_->MakeToken(1);
  EXPECT_TRUE(reading->reader->Read(&event));
  reading->context.TryCancel();
  EXPECT_EQ(reading->reader->Finish().error_code(), grpc::StatusCode::CANCELLED);
}

TEST_F(RouterServiceTest, DeadlineStopsItsSequence) {
  backends_->endless = true;
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::milliseconds(300));
  auto reader = stub_->Chat(&context, Question("Hello?"));
  for (v1::ChatResponse event; reader->Read(&event);) EXPECT_TRUE(event.has_started());
  EXPECT_EQ(reader->Finish().error_code(), grpc::StatusCode::DEADLINE_EXCEEDED);
  EXPECT_TRUE(Eventually([&] { return service_->Drained(); }));
  EXPECT_EQ(backends_->stopped, backends_->released);
}

TEST_F(RouterServiceTest, DrainRefusesNewRequestsAndWaitsForRunningOnes) {
  backends_->endless = true;
  auto running = Open();
  service_->StartDrain();
  std::vector<v1::ChatResponse> events;
  std::string pushback;
  EXPECT_EQ(Ask("Hello?", &events, &pushback).error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_NE(pushback, "");
  EXPECT_FALSE(service_->Drained());
  running->context.TryCancel();
  EXPECT_EQ(running->reader->Finish().error_code(), grpc::StatusCode::CANCELLED);
  EXPECT_TRUE(Eventually([&] { return service_->Drained(); }));
}

TEST_F(RouterServiceTest, ModelsAreListed) {
  grpc::ClientContext context;
  SetDeadline(context);
  v1::ListModelsResponse response;
  ASSERT_TRUE(stub_->ListModels(&context, {}, &response).ok());
  ASSERT_EQ(response.models_size(), 1);
  EXPECT_EQ(response.models(0).identity().name(), "tiny");
  EXPECT_EQ(response.models(0).context_length(), 100u);
  EXPECT_TRUE(response.models(0).is_default());
}

TEST_F(RouterServiceTest, SessionsAreTheirTenantsAlone) {
  Session session{.created_ms = 3, .updated_ms = 4};
  session.messages.emplace_back().set_role(v1::ROLE_USER);
  session.messages.back().set_content("Hello?");
  ASSERT_TRUE(store_->Put("session/acme/s", EncodeSession(session), 0).ok());
  auto get = [&](const std::string& tenant, v1::GetSessionResponse* found) {
    grpc::ClientContext context;
    SetDeadline(context);
    if (!tenant.empty()) context.AddMetadata(platform::kTenantKey, tenant);
    v1::GetSessionRequest request;
    request.set_session_id("s");
    return stub_->GetSession(&context, request, found).error_code();
  };
  auto forget = [&](const std::string& tenant) {
    grpc::ClientContext context;
    SetDeadline(context);
    context.AddMetadata(platform::kTenantKey, tenant);
    v1::DeleteSessionRequest request;
    request.set_session_id("s");
    v1::DeleteSessionResponse deleted;
    return stub_->DeleteSession(&context, request, &deleted).error_code();
  };
  v1::GetSessionResponse found;
  EXPECT_EQ(get("", &found), grpc::StatusCode::NOT_FOUND);
  EXPECT_EQ(get("other", &found), grpc::StatusCode::NOT_FOUND);
  EXPECT_EQ(forget("other"), grpc::StatusCode::NOT_FOUND);
  ASSERT_EQ(get("acme", &found), grpc::StatusCode::OK);
  EXPECT_EQ(found.messages(0).content(), "Hello?");
  EXPECT_EQ(found.created_ms(), 3);
  EXPECT_EQ(found.updated_ms(), 4);
  EXPECT_EQ(forget("acme"), grpc::StatusCode::OK);
  EXPECT_EQ(get("acme", &found), grpc::StatusCode::NOT_FOUND);
}

}  // namespace
}  // namespace conclave::router
