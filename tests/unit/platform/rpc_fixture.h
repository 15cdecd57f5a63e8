#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "conclave/v1/router.grpc.pb.h"
#include "conclave/v1/tokenizer.grpc.pb.h"
#include "platform/rpc/channels.h"
#include "platform/rpc/client_call.h"
#include "platform/rpc/local_streams.h"
#include "platform/rpc/server.h"
#include "platform/rpc/server_call.h"
#include "tests/unit/platform/test_support.h"

namespace conclave::platform::test {

using v1::ChatRequest;
using v1::ChatResponse;
using v1::DecodeRequest;
using v1::DecodeResponse;
using v1::RenderChatRequest;
using v1::RenderChatResponse;

using DecodeStream = std::shared_ptr<BidiServerStream<DecodeRequest, DecodeResponse>>;
using ChatStream = std::shared_ptr<ServerStream<ChatResponse>>;
using RenderReply = std::shared_ptr<UnaryReply<RenderChatResponse>>;
using TokenizerAsync = v1::TokenizerService::StubInterface::async_interface;
using RouterAsync = v1::RouterService::StubInterface::async_interface;

/// A tokenizer whose handlers a test chooses.
class FakeTokenizer : public v1::TokenizerService::CallbackService {
 public:
  std::function<void(const CallContext&, const RenderChatRequest&, RenderReply)> on_render;
  std::function<void(const CallContext&, DecodeStream)> on_decode;
  StreamOptions options;

  grpc::ServerUnaryReactor* RenderChat(grpc::CallbackServerContext* context, const RenderChatRequest* request,
                                       RenderChatResponse* response) override {
    return ServeUnary(context, response, [&](const CallContext& call, RenderReply reply) {
      on_render(call, *request, std::move(reply));
    });
  }
  grpc::ServerBidiReactor<DecodeRequest, DecodeResponse>* Decode(
      grpc::CallbackServerContext* context) override {
    return ServeBidi<DecodeRequest, DecodeResponse>(
        context, [&](const CallContext& call, DecodeStream stream) { on_decode(call, std::move(stream)); },
        options);
  }
};

/// A router whose Chat a test chooses.
class FakeRouter : public v1::RouterService::CallbackService {
 public:
  std::function<void(const CallContext&, ChatStream)> on_chat;
  StreamOptions options;

  grpc::ServerWriteReactor<ChatResponse>* Chat(grpc::CallbackServerContext* context,
                                               const ChatRequest*) override {
    return ServeStream<ChatResponse>(
        context, [&](const CallContext& call, ChatStream stream) { on_chat(call, std::move(stream)); },
        options);
  }
};

/// A real server on a Unix socket with both, and stubs for it.
class RpcTest : public ::testing::Test {
 protected:
  void StartServer(std::vector<std::string> addresses = {}) {
    ServerOptions options;
    options.addresses = addresses.empty() ? std::vector<std::string>{SocketAddress()} : std::move(addresses);
    options.metrics = &metrics_;
    auto server = Server::Start(options, {{"conclave.v1.TokenizerService", &tokenizer_service_},
                                          {"conclave.v1.RouterService", &router_service_}});
    ASSERT_TRUE(server.ok()) << server.status().ToString();
    server_ = std::move(server).value();
    auto channel = OpenChannel(server_->addresses().front(), {}, kDefaultMaxMessageBytes);
    ASSERT_TRUE(channel.ok()) << channel.status().ToString();
    channel_ = *channel;
    tokenizer_ = v1::TokenizerService::NewStub(channel_);
    router_ = v1::RouterService::NewStub(channel_);
  }

  std::string SocketAddress() const { return "unix:" + (folder_.path() / "run" / "server.sock").string(); }

  std::optional<Result<RenderChatResponse>> Render(std::unique_ptr<grpc::ClientContext> context,
                                                   RenderChatRequest request = {}) {
    auto result = std::make_shared<Promised<Result<RenderChatResponse>>>();
    CallUnary(tokenizer_->async(), &TokenizerAsync::RenderChat, std::move(context), std::move(request),
              [result](Result<RenderChatResponse> response) { result->Set(std::move(response)); });
    return result->Wait();
  }

  TemporaryFolder folder_;
  Metrics metrics_;
  FakeTokenizer tokenizer_service_;
  FakeRouter router_service_;
  std::unique_ptr<Server> server_;
  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<v1::TokenizerService::Stub> tokenizer_;
  std::unique_ptr<v1::RouterService::Stub> router_;
};

}  // namespace conclave::platform::test
