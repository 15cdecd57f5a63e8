#include <chrono>
#include <stdexcept>
#include <string>
#include <thread>

#include <gtest/gtest.h>

#include "platform/rpc/status_mapping.h"
#include "tests/unit/platform/rpc_fixture.h"

namespace conclave::platform {
namespace {

using namespace std::chrono_literals;
using test::Eventually;
using test::Promised;
using test::RenderChatRequest;
using test::RenderChatResponse;
using test::RenderReply;
using test::RpcTest;

constexpr auto kOwn = kNoTimeout;

TEST(StatusMappingTest, EveryCodeSurvivesTheRoundTrip) {
  for (int code = 1; code <= 16; ++code) {
    const Status status(static_cast<StatusCode>(code), "why");
    EXPECT_EQ(FromGrpcStatus(ToGrpcStatus(status)), status);
  }
  EXPECT_TRUE(ToGrpcStatus(Status::Ok()).ok());
}

TEST(StatusMappingTest, MessagesAreBoundedValidUtf8) {
  const grpc::Status status = ToGrpcStatus(Internal("\xff" + std::string(10'000, 'x')));
  EXPECT_LE(status.error_message().size(), kMaxStatusMessageBytes);
  EXPECT_TRUE(status.error_message().starts_with("\xEF\xBF\xBDxxx"));
}

class UnaryTest : public RpcTest {};

TEST_F(UnaryTest, AnswersFromAnotherThread) {
  std::thread worker;
  tokenizer_service_.on_render = [&](const CallContext&, const RenderChatRequest& request,
                                     RenderReply reply) {
    worker = std::thread([reply, size = request.messages_size()] {
      RenderChatResponse response;
      response.set_text(std::to_string(size));
      reply->Finish(response);
      reply->Finish(Internal("only the first one counts"));
    });
  };
  StartServer();
  RenderChatRequest request;
  request.add_messages();
  const auto result = Render(ClientContextFor({}, kOwn), request);
  worker.join();
  ASSERT_TRUE(result && result->ok());
  EXPECT_EQ((*result)->text(), "1");
}

TEST_F(UnaryTest, AnErrorArrivesWithItsRetryHint) {
  tokenizer_service_.on_render = [](const CallContext&, const RenderChatRequest&, RenderReply reply) {
    reply->Finish(ResourceExhausted("full").WithRetryAfterMs(1234));
  };
  StartServer();
  const auto result = Render(ClientContextFor({}, kOwn));
  ASSERT_TRUE(result);
  EXPECT_EQ(result->status(), ResourceExhausted("full").WithRetryAfterMs(1234));
}

TEST_F(UnaryTest, AThrowingHandlerIsInternalAndTellsNoSecrets) {
  tokenizer_service_.on_render = [](const CallContext&, const RenderChatRequest&, RenderReply) {
    throw std::runtime_error("the password is swordfish");
  };
  StartServer();
  const auto result = Render(ClientContextFor({}, kOwn));
  ASSERT_TRUE(result);
  EXPECT_EQ(result->status().code(), StatusCode::kInternal);
  EXPECT_EQ(result->status().message().find("swordfish"), std::string::npos);
}

TEST_F(UnaryTest, ADroppedReplyIsInternal) {
  tokenizer_service_.on_render = [](const CallContext&, const RenderChatRequest&, RenderReply) {};
  StartServer();
  const auto result = Render(ClientContextFor({}, kOwn));
  ASSERT_TRUE(result);
  EXPECT_EQ(result->status().code(), StatusCode::kInternal);
}

TEST_F(UnaryTest, CancellingReachesTheHandlerAndALateFinishIsHarmless) {
  Promised<RenderReply> arrived;
  Promised<bool> cancelled;
  tokenizer_service_.on_render = [&](const CallContext&, const RenderChatRequest&, RenderReply reply) {
    reply->OnCancel([&] { cancelled.Set(true); });
    arrived.Set(reply);
  };
  StartServer();
  auto result = std::make_shared<Promised<Status>>();
  UnaryCall call =
      CallUnary(tokenizer_->async(), &test::TokenizerAsync::RenderChat, ClientContextFor({}, kOwn), {},
                [result](Result<RenderChatResponse> response) { result->Set(response.status()); });
  auto reply = arrived.Wait();
  ASSERT_TRUE(reply);
  EXPECT_FALSE((*reply)->cancelled());
  call.Cancel();
  EXPECT_TRUE(cancelled.Wait());
  EXPECT_EQ(result->Wait()->code(), StatusCode::kCancelled);
  EXPECT_TRUE((*reply)->cancelled());
  (*reply)->Finish(RenderChatResponse());
  server_->Shutdown(0ms);
  (*reply)->Finish(Internal("the reactor is long gone"));
}

TEST_F(UnaryTest, TheContextCarriesIdTenantAndTheSmallerDeadline) {
  Promised<CallContext> seen;
  tokenizer_service_.on_render = [&](const CallContext& call, const RenderChatRequest&, RenderReply reply) {
    seen.Set(call);
    reply->Finish(RenderChatResponse());
  };
  StartServer();
  const auto now = std::chrono::system_clock::now();
  const CallContext caller{.request_id = "request-1", .tenant = "acme", .deadline = now + 60s, .peer = ""};
  ASSERT_TRUE(Render(ClientContextFor(caller, 3600s)));
  const auto context = seen.Wait();
  ASSERT_TRUE(context);
  EXPECT_EQ(context->request_id, "request-1");
  EXPECT_EQ(context->tenant, "acme");
  EXPECT_TRUE(IsTrustedPeer(context->peer)) << context->peer;
  EXPECT_LE(context->TimeLeft(), 61s);  // on the wire gRPC rounds up, to 100 ms here
  EXPECT_GT(context->TimeLeft(), 20s);
}

TEST_F(UnaryTest, OverTcpNobodyChoosesATenant) {
  Promised<CallContext> seen;
  tokenizer_service_.on_render = [&](const CallContext& call, const RenderChatRequest&, RenderReply reply) {
    seen.Set(call);
    reply->Finish(RenderChatResponse());
  };
  StartServer({"127.0.0.1:0"});
  auto context =
      ClientContextFor({.request_id = "bad id\n", .tenant = "acme", .deadline = {}, .peer = {}}, kOwn);
  context = std::make_unique<grpc::ClientContext>();
  context->AddMetadata(kTenantKey, "acme");
  context->AddMetadata(kRequestIdKey, "not an identifier");
  ASSERT_TRUE(Render(std::move(context)));
  EXPECT_EQ(seen.Wait()->tenant, "default");
  EXPECT_EQ(seen.Wait()->request_id.size(), 26u);
  EXPECT_EQ(seen.Wait()->deadline, std::chrono::system_clock::time_point::max());
  EXPECT_EQ(seen.Wait()->TimeLeft(), std::chrono::milliseconds::max());
}

TEST_F(UnaryTest, OnesOwnTimeoutCancelsTheHandler) {
  Promised<bool> cancelled;
  Promised<RenderReply> held;
  tokenizer_service_.on_render = [&](const CallContext&, const RenderChatRequest&, RenderReply reply) {
    reply->OnCancel([&] { cancelled.Set(true); });
    held.Set(reply);
  };
  StartServer();
  const CallContext caller{
      .request_id = "r", .tenant = "t", .deadline = std::chrono::system_clock::now() + 1h, .peer = ""};
  const auto result = Render(ClientContextFor(caller, 100ms));
  ASSERT_TRUE(result);
  EXPECT_EQ(result->status().code(), StatusCode::kDeadlineExceeded);
  EXPECT_TRUE(cancelled.Wait());
}

TEST_F(UnaryTest, ATooLargeMessageIsRefused) {
  tokenizer_service_.on_render = [](const CallContext&, const RenderChatRequest&, RenderReply reply) {
    reply->Finish(RenderChatResponse());
  };
  StartServer();
  auto channel = OpenChannel(server_->addresses().front(), {}, 1u << 30);
  tokenizer_ = v1::TokenizerService::NewStub(*channel);
  RenderChatRequest request;
  request.add_messages()->set_content(std::string(kDefaultMaxMessageBytes + 1, 'x'));
  const auto result = Render(ClientContextFor({}, kOwn), request);
  ASSERT_TRUE(result);
  EXPECT_EQ(result->status().code(), StatusCode::kResourceExhausted) << result->status().ToString();
}

TEST_F(UnaryTest, EveryCallIsCounted) {
  tokenizer_service_.on_render = [](const CallContext&, const RenderChatRequest&, RenderReply reply) {
    reply->Finish(NotFound("nothing"));
  };
  StartServer();
  ASSERT_TRUE(Render(ClientContextFor({}, kOwn)));
  EXPECT_TRUE(Eventually([&] {
    const std::string text = metrics_.Exposition();
    return text.find(
               "conclave_rpc_calls_total{code=\"NOT_FOUND\",method=\"/conclave.v1.TokenizerService/"
               "RenderChat\"} 1") != std::string::npos &&
           text.find("conclave_rpc_running_calls 0") != std::string::npos &&
           text.find("conclave_rpc_call_duration_seconds_count") != std::string::npos;
  })) << metrics_.Exposition();
}

}  // namespace
}  // namespace conclave::platform
