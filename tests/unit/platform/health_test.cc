#include <string>

#include <grpcpp/generic/generic_stub.h>
#include <gtest/gtest.h>

#include "tests/unit/platform/rpc_fixture.h"

namespace conclave::platform {
namespace {

using namespace std::chrono_literals;

/// grpc.health.v1 by hand, since Debian ships no generated code for it: a message whose field 1 is a
/// service's name, and one whose field 1 is a status (1: SERVING, 2: NOT_SERVING).
class HealthTest : public test::RpcTest {
 protected:
  int HealthOf(const std::string& service) {
    std::string request("\x0a");
    request += static_cast<char>(service.size());
    request += service;
    const grpc::Slice slice(request);
    const grpc::ByteBuffer buffer(&slice, 1);
    auto context = std::make_shared<grpc::ClientContext>();
    auto response = std::make_shared<grpc::ByteBuffer>();
    auto status = std::make_shared<test::Promised<grpc::Status>>();
    grpc::GenericStub(channel_).UnaryCall(
        context.get(), "/grpc.health.v1.Health/Check", {}, &buffer, response.get(),
        [context, response, status](grpc::Status done) { status->Set(done); });
    const auto done = status->Wait();
    if (!done || !done->ok()) return -1;
    grpc::Slice answer;
    if (!response->DumpToSingleSlice(&answer).ok() || answer.size() < 2) return 0;
    return answer.begin()[1];
  }
};

TEST_F(HealthTest, ReportsEachServiceAndTheWhole) {
  constexpr char kTokenizer[] = "conclave.v1.TokenizerService";
  constexpr char kRouter[] = "conclave.v1.RouterService";
  StartServer();
  EXPECT_EQ(HealthOf(kTokenizer), 2);
  EXPECT_EQ(HealthOf(""), 2);
  server_->SetServing(kTokenizer, true);
  EXPECT_EQ(HealthOf(kTokenizer), 1);
  EXPECT_EQ(HealthOf(kRouter), 2);
  EXPECT_EQ(HealthOf(""), 2);
  server_->SetServing(kRouter, true);
  EXPECT_EQ(HealthOf(""), 1);
  server_->StartDrain();
  EXPECT_EQ(HealthOf(kTokenizer), 2);
  EXPECT_EQ(HealthOf(""), 2);
  EXPECT_EQ(HealthOf("no.such.Service"), -1);
}

TEST_F(HealthTest, AServiceWithoutANameIsServedAndDoesNotCount) {
  router_service_.on_chat = [](const CallContext&, test::ChatStream stream) {
    stream->Finish(NotFound("here"));
  };
  auto server =
      Server::Start({.addresses = {SocketAddress()}},
                    {{"conclave.v1.TokenizerService", &tokenizer_service_}, {"", &router_service_}});
  ASSERT_TRUE(server.ok()) << server.status().ToString();
  (*server)->SetServing("conclave.v1.TokenizerService", true);
  channel_ = *OpenChannel(SocketAddress(), {}, kDefaultMaxMessageBytes);
  EXPECT_EQ(HealthOf(""), 1);
  EXPECT_EQ(HealthOf("conclave.v1.RouterService"), -1);
  grpc::ClientContext context;
  auto reader = v1::RouterService::NewStub(channel_)->Chat(&context, {});
  EXPECT_EQ(reader->Finish().error_code(), grpc::StatusCode::NOT_FOUND);
}

}  // namespace
}  // namespace conclave::platform
