#include "platform/rpc/server.h"

#include <chrono>
#include <fstream>
#include <string>
#include <thread>

#include <gtest/gtest.h>

#include "tests/unit/platform/certificate.h"
#include "tests/unit/platform/rpc_fixture.h"

namespace conclave::platform {
namespace {

using namespace std::chrono_literals;
using test::ChatResponse;
using test::ChatStream;
using test::Eventually;
using test::Promised;
using test::RenderChatRequest;
using test::RenderChatResponse;
using test::RenderReply;

class ServerTest : public test::RpcTest {
 protected:
  ServerTest() {
    tokenizer_service_.on_render = [](const CallContext&, const RenderChatRequest&, RenderReply reply) {
      reply->Finish(RenderChatResponse());
    };
  }

  Status StartSecond(ServerOptions options) {
    test::FakeTokenizer service;
    return Server::Start(options, {{"conclave.v1.TokenizerService", &service}}).status();
  }

  std::optional<Result<RenderChatResponse>> RenderOver(
      const Result<std::shared_ptr<grpc::Channel>>& channel) {
    EXPECT_TRUE(channel.ok()) << channel.status().ToString();
    tokenizer_ = v1::TokenizerService::NewStub(*channel);
    return Render(ClientContextFor({.request_id = "r", .tenant = "t", .deadline = SoonEnough(), .peer = ""},
                                   kNoTimeout));
  }

  static std::chrono::system_clock::time_point SoonEnough() {
    return std::chrono::system_clock::now() + test::kPatience;
  }
};

TEST_F(ServerTest, APortInUseIsNamed) {
  StartServer({"127.0.0.1:0"});
  const std::string address = server_->addresses().front();
  EXPECT_NE(address, "127.0.0.1:0");
  const Status status = StartSecond({.addresses = {address}});
  EXPECT_EQ(status.code(), StatusCode::kFailedPrecondition) << status.ToString();
  EXPECT_NE(status.message().find(address), std::string::npos) << status.ToString();
  EXPECT_NE(status.message().find("in use"), std::string::npos) << status.ToString();
}

TEST_F(ServerTest, ASocketInUseIsNamedAndADeadOneReplaced) {
  StartServer();
  EXPECT_EQ(StartSecond({.addresses = {SocketAddress()}}).code(), StatusCode::kFailedPrecondition);
  ASSERT_TRUE(Render(ClientContextFor({}, 30s))->ok()) << "the first server lost its socket";
  const auto folder_permissions = std::filesystem::status(folder_.path() / "run").permissions();
  EXPECT_EQ(folder_permissions, std::filesystem::perms::owner_all);
}

TEST_F(ServerTest, AFileInTheSocketsPlaceIsNotRemoved) {
  std::ofstream(folder_.path() / "precious") << "data";
  const std::string address = "unix:" + (folder_.path() / "precious").string();
  EXPECT_EQ(StartSecond({.addresses = {address}}).code(), StatusCode::kFailedPrecondition);
  EXPECT_TRUE(std::filesystem::is_regular_file(folder_.path() / "precious"));
}

TEST_F(ServerTest, RefusesToListenBeyondLoopbackWithoutTls) {
  const Status status = StartSecond({.addresses = {"0.0.0.0:0"}});
  EXPECT_EQ(status.code(), StatusCode::kFailedPrecondition);
  EXPECT_NE(status.message().find("tls.certificate"), std::string::npos);
  EXPECT_TRUE(StartSecond({.addresses = {"0.0.0.0:0"}, .insecure = true}).ok());
  EXPECT_EQ(StartSecond({.addresses = {"inproc:x"}}).code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(StartSecond({.addresses = {"nonsense"}}).code(), StatusCode::kInvalidArgument);
}

TEST_F(ServerTest, TlsNeedsTheRightCertificates) {
  const test::CertificateFiles files(folder_.path());
  const TlsConfig tls = files.Tls();
  ServerOptions options{.addresses = {"127.0.0.1:0"}, .tls = tls};
  auto server = Server::Start(options, {{"conclave.v1.TokenizerService", &tokenizer_service_}});
  ASSERT_TRUE(server.ok()) << server.status().ToString();
  const std::string address = "localhost" + (*server)->addresses().front().substr(9);
  const auto good = RenderOver(OpenChannel(address, tls, kDefaultMaxMessageBytes));
  ASSERT_TRUE(good);
  EXPECT_TRUE(good->ok()) << good->status().ToString();
  const auto plain = RenderOver(OpenChannel(address, {}, kDefaultMaxMessageBytes));
  EXPECT_EQ(plain->status().code(), StatusCode::kUnavailable);
  TlsConfig only_authority;
  only_authority.client_ca = tls.client_ca;
  const auto anonymous = RenderOver(OpenChannel(address, only_authority, kDefaultMaxMessageBytes));
  EXPECT_EQ(anonymous->status().code(), StatusCode::kUnavailable);
}

TEST_F(ServerTest, UnreadableTlsFilesAreNamed) {
  ServerOptions options{.addresses = {"127.0.0.1:0"},
                        .tls = {"/no/such/certificate.pem", "/no/such/key.pem", ""}};
  Status status = StartSecond(options);
  EXPECT_EQ(status.code(), StatusCode::kFailedPrecondition);
  EXPECT_NE(status.message().find("/no/such/certificate.pem"), std::string::npos);
  std::ofstream(folder_.path() / "text") << "not PEM";
  options.tls.certificate = options.tls.key = folder_.path() / "text";
  EXPECT_EQ(StartSecond(options).code(), StatusCode::kFailedPrecondition);
}

TEST_F(ServerTest, InProcessCallsWorkAndAreTrusted) {
  Promised<CallContext> seen;
  tokenizer_service_.on_render = [&](const CallContext& call, const RenderChatRequest&, RenderReply reply) {
    seen.Set(call);
    reply->Finish(RenderChatResponse());
  };
  StartServer();
  ChannelRegistry registry({{"tokenizer", {"inproc:conclave"}}, {"router", {"unix:/x", "unix:/y"}}}, {},
                           kDefaultMaxMessageBytes);
  EXPECT_EQ(registry.Get("tokenizer").status().code(), StatusCode::kFailedPrecondition);
  EXPECT_EQ(registry.Get("decoder").status().code(), StatusCode::kNotFound);
  EXPECT_EQ(registry.All("router")->size(), 2u);
  EXPECT_EQ(*registry.Get("router"), registry.All("router")->front());
  registry.BindInProcess("conclave", server_->InProcessChannel());
  EXPECT_TRUE(registry.IsInProcess("tokenizer"));
  const auto result = RenderOver(registry.Get("tokenizer"));
  ASSERT_TRUE(result && result->ok());
  EXPECT_EQ(seen.Wait()->tenant, "t");
  EXPECT_TRUE(seen.Wait()->peer.starts_with("inproc"));
}

TEST_F(ServerTest, DrainingLetsRunningAnswersFinishAndRefusesNewOnes) {
  Promised<ChatStream> held;
  router_service_.on_chat = [&](const CallContext&, ChatStream stream) { held.Set(std::move(stream)); };
  StartServer();
  auto done = std::make_shared<Promised<Status>>();
  const auto reader = ClientStreamReader<ChatResponse>::Start(
      router_->async(), &test::RouterAsync::Chat, ClientContextFor({}, kNoTimeout), {},
      {.on_message = [](ChatResponse) {},
       .on_done = [done](Status status) { done->Set(std::move(status)); }});
  ASSERT_TRUE(held.Wait());
  EXPECT_EQ(server_->RunningCalls(), 1u);
  EXPECT_FALSE(server_->Drain(0ms, nullptr)) << "an answer is still running";

  const auto refused = Render(ClientContextFor({}, 30s));
  EXPECT_EQ(refused->status().code(), StatusCode::kUnavailable);
  EXPECT_GT(refused->status().retry_after_ms(), 0);
  const auto inside = RenderOver(server_->InProcessChannel());
  EXPECT_TRUE(inside->ok()) << "running work in this process still needs the other services";

  EXPECT_FALSE(done->is_set());
  (*held.Wait())->Finish(Status::Ok());
  EXPECT_TRUE(done->Wait()->ok());
  EXPECT_TRUE(server_->Drain(30s, [] { return true; }));
  EXPECT_FALSE(server_->Drain(10ms, [] { return false; })) << "a module is still busy";
}

TEST_F(ServerTest, AClientCannotPretendThatTheServerDrains) {
  StartServer();
  auto context = ClientContextFor({}, 30s);
  context->AddMetadata("conclave-draining", "1");
  EXPECT_TRUE(Render(std::move(context))->ok());
}

TEST_F(ServerTest, InternalMethodsAreForTheProcessItself) {
  test::FakeTokenizer service;
  service.on_render = tokenizer_service_.on_render;
  const auto server = Server::Start(
      {.addresses = {"127.0.0.1:0"}, .internal_methods = {"/conclave.v1.TokenizerService/Render"}},
      {{"conclave.v1.TokenizerService", &service}});
  ASSERT_TRUE(server.ok()) << server.status().ToString();
  const std::string address = (*server)->addresses().front();
  const auto outside = RenderOver(OpenChannel(address, {}, kDefaultMaxMessageBytes));
  EXPECT_EQ(outside->status().code(), StatusCode::kPermissionDenied) << outside->status().ToString();
  EXPECT_TRUE(RenderOver((*server)->InProcessChannel())->ok());
}

TEST_F(ServerTest, ShutdownCancelsWhatStillRuns) {
  Promised<bool> cancelled;
  Promised<RenderReply> held;
  tokenizer_service_.on_render = [&](const CallContext&, const RenderChatRequest&, RenderReply reply) {
    reply->OnCancel([&] { cancelled.Set(true); });
    held.Set(reply);
  };
  StartServer();
  auto result = std::make_shared<Promised<Status>>();
  CallUnary(tokenizer_->async(), &test::TokenizerAsync::RenderChat, ClientContextFor({}, kNoTimeout), {},
            [result](Result<RenderChatResponse> response) { result->Set(response.status()); });
  ASSERT_TRUE(held.Wait());
  server_->Shutdown(10ms);
  EXPECT_TRUE(cancelled.is_set());
  EXPECT_TRUE(result->Wait());
}

}  // namespace
}  // namespace conclave::platform
