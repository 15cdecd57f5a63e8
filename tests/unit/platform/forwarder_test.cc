#include "platform/rpc/forwarder.h"

#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/platform/forward_fixture.h"

namespace conclave::platform {
namespace {

using namespace std::chrono_literals;
using test::ChatResponse;
using test::ChatStream;
using test::DecodeRequest;
using test::DecodeResponse;
using test::DecodeStream;
using test::Eventually;
using test::Promised;
using test::RenderChatRequest;
using test::RenderChatResponse;
using test::RenderReply;
using ::testing::HasSubstr;
using ::testing::StartsWith;

class ForwarderTest : public test::ForwardTest {
 protected:
  /// Before what the services' callbacks set.
  ~ForwarderTest() override {
    front_.reset();
    server_.reset();
  }

  /// A service that answers every rendering with `status`.
  void AnswerWith(Status status) {
    tokenizer_service_.on_render = [status](const CallContext&, const RenderChatRequest&, RenderReply reply) {
      reply->Finish(status);
    };
  }
  Status RenderStatus(const CallContext& caller = {}) {
    const auto result = Render(ClientContextFor(caller, kNoTimeout));
    return result ? result->status() : Internal("it never ended");
  }
  /// A service that only tells when its caller is gone.
  void HoldRenderings() {
    tokenizer_service_.on_render = [this](const CallContext& call, const RenderChatRequest&,
                                          RenderReply reply) {
      reply->OnCancel([this] { cancelled_.Set(true); });
      arrived_.Set(call);
      held_ = std::move(reply);
    };
  }
  void HoldChats() {
    router_service_.on_chat = [this](const CallContext& call, ChatStream stream) {
      stream->OnCancel([this] { cancelled_.Set(true); });
      ChatResponse first;
      first.mutable_delta()->set_text("first");
      stream->Write(first);
      held_chat_.Set(std::move(stream));
      arrived_.Set(call);
    };
  }
  void EchoSequences() {
    tokenizer_service_.on_decode = [](const CallContext&, DecodeStream stream) {
      stream->OnMessage([stream](const DecodeRequest& request) {
        DecodeResponse response;
        response.set_sequence_id(request.sequence_id());
        stream->Write(response);
      });
      stream->OnHalfClose([stream] { stream->Finish(Status::Ok()); });
    };
  }

  Promised<bool> cancelled_;
  Promised<CallContext> arrived_;
  Promised<ChatStream> held_chat_;
  RenderReply held_;
};

TEST_F(ForwarderTest, AUnaryCallIsAnsweredWithWhatTheServiceSaid) {
  tokenizer_service_.on_render = [](const CallContext&, const RenderChatRequest& request, RenderReply reply) {
    RenderChatResponse response;
    response.set_text(request.messages(0).content() + "!");
    reply->Finish(response);
  };
  StartBoth();
  RenderChatRequest request;
  request.add_messages()->set_content("hello");
  const auto result = Render(ClientContextFor({}, kNoTimeout), request);
  ASSERT_TRUE(result && result->ok()) << result->status().ToString();
  EXPECT_EQ((*result)->text(), "hello!");
  EXPECT_TRUE(Eventually([&] { return Idle(); }));
}

TEST_F(ForwarderTest, WhatTheCallerDidWrongArrivesAsItWasSaid) {
  AnswerWith(ResourceExhausted("the disk is full").WithRetryAfterMs(1234));
  StartBoth();
  EXPECT_EQ(RenderStatus(), ResourceExhausted("the disk is full").WithRetryAfterMs(1234));
}

TEST_F(ForwarderTest, WhatBrokeIsSaidWithTheServicesNameAndKeepsItsHint) {
  AnswerWith(Unavailable("going down").WithRetryAfterMs(77));
  StartBoth();
  EXPECT_EQ(RenderStatus(), Unavailable("the behind service: going down").WithRetryAfterMs(77));
}

TEST_F(ForwarderTest, IdTenantAndTheCallersDeadlineGoAlong) {
  tokenizer_service_.on_render = [this](const CallContext& call, const RenderChatRequest&,
                                        RenderReply reply) {
    arrived_.Set(call);
    reply->Finish(RenderChatResponse());
  };
  StartBoth();
  CallContext caller;
  caller.request_id = "request-1";
  caller.tenant = "acme";
  caller.deadline = std::chrono::system_clock::now() + 60s;
  EXPECT_TRUE(RenderStatus(caller).ok());
  const auto call = arrived_.Wait();
  ASSERT_TRUE(call);
  EXPECT_EQ(call->request_id, "request-1");
  EXPECT_EQ(call->tenant, "acme");
  EXPECT_LE(call->TimeLeft(), 62s);  // on the wire gRPC rounds up, once a hop
  EXPECT_GT(call->TimeLeft(), 20s);
}

TEST_F(ForwarderTest, ItsOwnTimeoutEndsACallWithoutDeadline) {
  options_.call_timeout = 100ms;
  HoldRenderings();
  StartBoth();
  EXPECT_EQ(RenderStatus().code(), StatusCode::kDeadlineExceeded);
  EXPECT_TRUE(cancelled_.Wait());
}

TEST_F(ForwarderTest, ItsOwnTimeoutEndsAStreamWithoutDeadline) {
  options_.stream_timeout = 100ms;
  HoldChats();
  StartBoth();
  const auto reader = Chat();
  EXPECT_EQ(seen_->done.Wait()->code(), StatusCode::kDeadlineExceeded);
  EXPECT_TRUE(cancelled_.Wait());
}

TEST_F(ForwarderTest, TheCallersDeadlineCancelsTheCallBehind) {
  HoldRenderings();
  StartBoth();
  CallContext caller;
  caller.deadline = std::chrono::system_clock::now() + 200ms;
  EXPECT_EQ(RenderStatus(caller).code(), StatusCode::kDeadlineExceeded);
  EXPECT_TRUE(cancelled_.Wait());
  EXPECT_TRUE(Eventually([&] { return Idle(); }));
}

TEST_F(ForwarderTest, CancellingAUnaryCallReachesTheService) {
  HoldRenderings();
  StartBoth();
  auto result = std::make_shared<Promised<Status>>();
  UnaryCall call =
      CallUnary(tokenizer_->async(), &test::TokenizerAsync::RenderChat, ClientContextFor({}, kNoTimeout), {},
                [result](Result<RenderChatResponse> made) { result->Set(made.status()); });
  ASSERT_TRUE(arrived_.Wait());
  EXPECT_FALSE(Idle());
  call.Cancel();
  EXPECT_TRUE(cancelled_.Wait());
  EXPECT_EQ(result->Wait()->code(), StatusCode::kCancelled);
  EXPECT_TRUE(Eventually([&] { return Idle(); }));
}

TEST_F(ForwarderTest, AStreamArrivesInOrderAndItsFailureLast) {
  std::thread writer;
  router_service_.on_chat = [&](const CallContext&, ChatStream stream) {
    writer = std::thread([stream] {
      for (int i = 0; i < 500; ++i) {
        ChatResponse response;
        response.mutable_delta()->set_text(std::to_string(i) + " ");
        ASSERT_TRUE(stream->Write(std::move(response)));
      }
      stream->Finish(DataLoss("damaged").WithRetryAfterMs(5));
    });
  };
  StartBoth();
  const auto reader = Chat();
  const auto done = seen_->done.Wait();
  writer.join();
  EXPECT_EQ(done, DataLoss("damaged").WithRetryAfterMs(5));
  std::string expected;
  for (int i = 0; i < 500; ++i) expected += std::to_string(i) + " ";
  EXPECT_EQ(seen_->text, expected);
}

TEST_F(ForwarderTest, CancellingAStreamReachesTheService) {
  HoldChats();
  StartBoth();
  auto reader = Chat();
  ASSERT_TRUE(Eventually([&] { return seen_->messages == 1; }));
  reader.reset();
  EXPECT_TRUE(cancelled_.Wait());
  EXPECT_EQ(seen_->done.Wait()->code(), StatusCode::kCancelled);
  EXPECT_TRUE(Eventually([&] { return Idle(); }));
}

TEST_F(ForwarderTest, BothWaysInOrderThenHalfClose) {
  EchoSequences();
  StartBoth();
  const auto client = Decode();
  DecodeRequest request;
  for (uint64_t i = 0; i < 300; ++i) {
    request.set_sequence_id(i);
    ASSERT_TRUE(client->Write(request));
  }
  client->HalfClose();
  const auto done = seen_->done.Wait();
  ASSERT_TRUE(done && done->ok()) << done->ToString();
  ASSERT_EQ(seen_->ids.size(), 300u);
  for (uint64_t i = 0; i < 300; ++i) EXPECT_EQ(seen_->ids[i], i);
  EXPECT_TRUE(Eventually([&] { return Idle(); }));
}

TEST_F(ForwarderTest, AVanishedWriterIsNoticedByTheService) {
  tokenizer_service_.on_decode = [this](const CallContext&, DecodeStream stream) {
    stream->OnMessage([stream](const DecodeRequest&) { stream->Write({}); });
    stream->OnHalfClose([stream] {});
    stream->OnCancel([this] { cancelled_.Set(true); });
  };
  StartBoth();
  auto client = Decode();
  ASSERT_TRUE(client->Write({}));
  ASSERT_TRUE(Eventually([&] { return seen_->messages == 1; }));
  client.reset();
  EXPECT_TRUE(cancelled_.Wait());
  EXPECT_TRUE(Eventually([&] { return Idle(); }));
}

TEST_F(ForwarderTest, AServiceThatEndsAStreamEarlyEndsItForItsWriter) {
  tokenizer_service_.on_decode = [](const CallContext&, DecodeStream stream) {
    stream->OnMessage([stream](const DecodeRequest&) { stream->Finish(InvalidArgument("not like this")); });
    stream->OnHalfClose([] {});
  };
  StartBoth();
  const auto client = Decode();
  client->Write({});
  EXPECT_EQ(seen_->done.Wait(), InvalidArgument("not like this"));
  EXPECT_TRUE(Eventually([&] { return Idle(); }));
}

TEST_F(ForwarderTest, AServiceThatIsAwayIsNamed) {
  StartBoth();
  server_.reset();
  const Status unary = RenderStatus();
  EXPECT_EQ(unary.code(), StatusCode::kUnavailable);
  EXPECT_THAT(unary.message(), StartsWith("the behind service: "));
  const auto client = Decode();
  client->Write({});
  EXPECT_EQ(seen_->done.Wait()->code(), StatusCode::kUnavailable);
  EXPECT_THAT(seen_->done.Wait()->message(), StartsWith("the behind service: "));
}

TEST_F(ForwarderTest, AServiceThatDiesAmidAStreamIsNamed) {
  HoldChats();
  StartBoth();
  const auto reader = Chat();
  ASSERT_TRUE(Eventually([&] { return seen_->messages == 1; }));
  (*held_chat_.Wait())->Finish(Internal("lost its head"));
  EXPECT_EQ(seen_->done.Wait(), Internal("the behind service: lost its head"));
}

TEST_F(ForwarderTest, AServiceThatIsNotConfiguredSaysWhichKeyIsMissing) {
  StartServer();
  StartFront(nullptr);
  EXPECT_FALSE(tokenizer_face_->forwarder.configured());
  const Status unary = RenderStatus();
  EXPECT_EQ(unary.code(), StatusCode::kUnimplemented);
  EXPECT_THAT(unary.message(), HasSubstr("no behind service"));
  EXPECT_THAT(unary.message(), HasSubstr("processes[].services"));
  const auto reader = Chat();
  EXPECT_EQ(seen_->done.Wait()->code(), StatusCode::kUnimplemented);
}

TEST_F(ForwarderTest, NoMoreCallsAreOpenThanMayBe) {
  options_.most_open_calls = 1;
  HoldChats();
  StartBoth();
  auto first = Chat();
  ASSERT_TRUE(held_chat_.Wait());
  seen_ = std::make_shared<Seen>();
  const auto second = Chat();
  EXPECT_EQ(seen_->done.Wait()->code(), StatusCode::kResourceExhausted);
  EXPECT_GT(seen_->done.Wait()->retry_after_ms(), 0);
  first.reset();
  ASSERT_TRUE(Eventually([&] { return Idle(); }));
  seen_ = std::make_shared<Seen>();
  const auto third = Chat();
  EXPECT_TRUE(Eventually([&] { return seen_->messages == 1; }));
}

TEST_F(ForwarderTest, DrainRefusesNewCallsAndLetsRunningStreamsFinish) {
  EchoSequences();
  AnswerWith(Status(StatusCode::kNotFound, "it was asked"));
  StartBoth();
  const auto client = Decode();
  ASSERT_TRUE(client->Write({}));
  ASSERT_TRUE(Eventually([&] { return seen_->messages == 1; }));
  front_->StartDrain();
  const Status refused = RenderStatus();
  EXPECT_EQ(refused.code(), StatusCode::kUnavailable);
  EXPECT_GT(refused.retry_after_ms(), 0);
  EXPECT_FALSE(Idle());
  ASSERT_TRUE(client->Write({}));
  client->HalfClose();
  EXPECT_TRUE(seen_->done.Wait()->ok());
  EXPECT_EQ(seen_->messages, 2u);
  EXPECT_TRUE(front_->Drain(std::chrono::milliseconds(test::kPatience), [&] { return Idle(); }));
}

TEST_F(ForwarderTest, AServerThatEndsCancelsWhatIsStillOpenBehindIt) {
  HoldChats();
  StartBoth();
  const auto reader = Chat();
  ASSERT_TRUE(held_chat_.Wait());
  front_.reset();
  EXPECT_TRUE(cancelled_.Wait());
  EXPECT_FALSE(seen_->done.Wait()->ok());
}

TEST_F(ForwarderTest, ManyStreamsFinishAndCancelAtOnce) {
  EchoSequences();
  StartBoth();
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 20; ++i) {
        Promised<Status> done;
        std::atomic<int> echoes{0};
        const auto client = DecodeClient::Start(
            tokenizer_->async(), &test::TokenizerAsync::Decode, ClientContextFor({}, kNoTimeout),
            {.on_message = [&](const DecodeResponse&) { ++echoes; },
             .on_done = [&](Status status) { done.Set(std::move(status)); }});
        for (int n = 0; n < 10; ++n) client->Write({});
        const bool whole = (i + t) % 2 == 0;
        whole ? client->HalfClose() : client->Cancel();
        const auto status = done.Wait();
        ASSERT_TRUE(status);
        if (!whole) continue;
        EXPECT_TRUE(status->ok()) << status->ToString();
        EXPECT_EQ(echoes, 10);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_TRUE(Eventually([&] { return Idle(); }));
}

}  // namespace
}  // namespace conclave::platform
