#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "platform/rpc/forwarder.h"
#include "tests/unit/platform/rpc_fixture.h"

namespace conclave::platform::test {

/// A server whose two services are forwarded to those of RpcTest's server, and stubs for it.
class ForwardTest : public RpcTest {
 protected:
  using ChatReader = ClientStreamReader<ChatResponse>;
  using DecodeClient = ClientBidiStream<DecodeRequest, DecodeResponse>;

  class TokenizerFace final : public v1::TokenizerService::CallbackService {
   public:
    TokenizerFace(const std::shared_ptr<grpc::Channel>& channel, const ForwardOptions& options)
        : forwarder(channel, options) {}
    grpc::ServerUnaryReactor* RenderChat(grpc::CallbackServerContext* context,
                                         const RenderChatRequest* request,
                                         RenderChatResponse* response) override {
      return forwarder.Unary(&TokenizerAsync::RenderChat, context, request, response);
    }
    grpc::ServerBidiReactor<DecodeRequest, DecodeResponse>* Decode(
        grpc::CallbackServerContext* context) override {
      return forwarder.BidiStream(&TokenizerAsync::Decode, context);
    }
    Forwarder<v1::TokenizerService> forwarder;
  };

  class RouterFace final : public v1::RouterService::CallbackService {
   public:
    RouterFace(const std::shared_ptr<grpc::Channel>& channel, const ForwardOptions& options)
        : forwarder(channel, options) {}
    grpc::ServerWriteReactor<ChatResponse>* Chat(grpc::CallbackServerContext* context,
                                                 const ChatRequest* request) override {
      return forwarder.ServerStream(&RouterAsync::Chat, context, request);
    }
    Forwarder<v1::RouterService> forwarder;
  };

  /// What a client saw; shared with its callbacks.
  struct Seen {
    std::mutex mutex;
    std::vector<uint64_t> ids;
    std::string text;
    std::atomic<size_t> messages{0};
    Promised<Status> done;
  };

  /// Starts both servers.
  void StartBoth() {
    StartServer();
    StartFront(channel_);
  }

  /// The server in front, over a channel to the services, which may be null.
  void StartFront(const std::shared_ptr<grpc::Channel>& services) {
    tokenizer_face_ = std::make_unique<TokenizerFace>(services, options_);
    router_face_ = std::make_unique<RouterFace>(services, options_);
    ServerOptions options;
    options.addresses = {"unix:" + (folder_.path() / "run" / "front.sock").string()};
    auto front = Server::Start(options, {{"conclave.v1.TokenizerService", tokenizer_face_.get()},
                                         {"conclave.v1.RouterService", router_face_.get()}});
    ASSERT_TRUE(front.ok()) << front.status().ToString();
    front_ = std::move(front).value();
    auto channel = OpenChannel(front_->addresses().front(), {}, kDefaultMaxMessageBytes);
    ASSERT_TRUE(channel.ok()) << channel.status().ToString();
    tokenizer_ = v1::TokenizerService::NewStub(*channel);
    router_ = v1::RouterService::NewStub(*channel);
  }

  bool Idle() const { return tokenizer_face_->forwarder.idle() && router_face_->forwarder.idle(); }

  std::shared_ptr<ChatReader> Chat(const CallContext& caller = {}) {
    auto seen = seen_;
    return ChatReader::Start(router_->async(), &RouterAsync::Chat, ClientContextFor(caller, kNoTimeout), {},
                             {.on_message =
                                  [seen](const ChatResponse& response) {
                                    std::lock_guard lock(seen->mutex);
                                    seen->text += response.delta().text();
                                    ++seen->messages;
                                  },
                              .on_done = [seen](Status status) { seen->done.Set(std::move(status)); }});
  }

  std::shared_ptr<DecodeClient> Decode(std::function<void()> on_writable = nullptr,
                                       const StreamOptions& options = {}) {
    auto seen = seen_;
    return DecodeClient::Start(tokenizer_->async(), &TokenizerAsync::Decode, ClientContextFor({}, kNoTimeout),
                               {.on_message =
                                    [seen](const DecodeResponse& response) {
                                      std::lock_guard lock(seen->mutex);
                                      seen->ids.push_back(response.sequence_id());
                                      ++seen->messages;
                                    },
                                .on_done = [seen](Status status) { seen->done.Set(std::move(status)); },
                                .on_writable = std::move(on_writable)},
                               options);
  }

  ForwardOptions options_{.service = "behind",
                          .call_timeout = std::chrono::hours(1),
                          .stream_timeout = std::chrono::hours(1),
                          .most_open_calls = 64};
  std::shared_ptr<Seen> seen_ = std::make_shared<Seen>();
  std::unique_ptr<TokenizerFace> tokenizer_face_;
  std::unique_ptr<RouterFace> router_face_;
  std::unique_ptr<Server> front_;  // ends before the faces and the services behind them
};

}  // namespace conclave::platform::test
