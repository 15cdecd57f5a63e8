#include "services/tokenizer/tokenizer_service.h"

#include <algorithm>
#include <utility>

#include "services/tokenizer/limits.h"

namespace conclave::tokenizer {
namespace {

using platform::CallContext;

Result<std::string> RoleName(v1::Role role) {
  switch (role) {
    case v1::ROLE_SYSTEM: return std::string("system");
    case v1::ROLE_USER: return std::string("user");
    case v1::ROLE_ASSISTANT: return std::string("assistant");
    case v1::ROLE_TOOL: return std::string("tool");
    default: return InvalidArgument("the role is not set, or none that this server knows");
  }
}

Result<std::vector<ChatTurn>> ReadTurns(const v1::RenderChatRequest& request) {
  std::vector<ChatTurn> turns;
  if (static_cast<size_t>(request.messages_size()) > kMaxChatMessages) {
    return InvalidArgument("a chat may have at most " + std::to_string(kMaxChatMessages) + " messages");
  }
  for (const v1::ChatMessage& message : request.messages()) {
    const std::string where = "message " + std::to_string(turns.size());
    Result<std::string> role = RoleName(message.role());
    if (!role.ok()) return role.status().Annotate(where);
    if (message.content().size() > kMaxMessageBytes) {
      return InvalidArgument(where + ": its content has " + std::to_string(message.content().size()) +
                             " bytes; at most " + std::to_string(kMaxMessageBytes) + " are allowed");
    }
    turns.push_back({std::move(role).value(), message.content()});
  }
  return turns;
}

size_t BytesOf(const std::vector<ChatTurn>& turns) {
  size_t bytes = 0;
  for (const ChatTurn& turn : turns) bytes += turn.content.size();
  return bytes;
}

}  // namespace

grpc::ServerBidiReactor<v1::EncodeRequest, v1::EncodeResponse>* TokenizerService::Encode(
    grpc::CallbackServerContext* context) {
  return platform::ServeBidi<v1::EncodeRequest, v1::EncodeResponse>(
      context, [this](const CallContext&, std::shared_ptr<EncodeSession::Stream> stream) {
        ServeEncode(std::move(stream));
      });
}

grpc::ServerBidiReactor<v1::DecodeRequest, v1::DecodeResponse>* TokenizerService::Decode(
    grpc::CallbackServerContext* context) {
  return platform::ServeBidi<v1::DecodeRequest, v1::DecodeResponse>(
      context, [this](const CallContext&, std::shared_ptr<DecodeSession::Stream> stream) {
        DecodeSession::Serve(std::make_shared<DecodeSession>(*tokenizer_, counters_, std::move(stream)));
      });
}

void TokenizerService::ServeEncode(std::shared_ptr<EncodeSession::Stream> stream) {
  EncodeSession::Serve(std::make_shared<EncodeSession>(*tokenizer_, queue_, counters_, std::move(stream)));
}

void TokenizerService::OfferStreams(platform::LocalStreams& local) {
  local.Offer<v1::EncodeRequest, v1::EncodeResponse>(
      [this](const CallContext&, std::shared_ptr<EncodeSession::Stream> stream) {
        ServeEncode(std::move(stream));
      });
}

Result<v1::ListTokensResponse> TokenizerService::TokensFrom(int32_t first) const {
  const TokenTable& table = *tokenizer_->vocabulary().table();
  if (!table.Contains(first)) {
    return OutOfRange("the token id " + std::to_string(first) +
                      " is not in the vocabulary; its ids are 0 to " + std::to_string(table.size() - 1));
  }
  v1::ListTokensResponse page;
  *page.mutable_model() = model_;
  page.set_vocabulary_size(static_cast<uint32_t>(table.size()));
  const auto end =
      static_cast<int32_t>(std::min<int64_t>(table.size(), first + static_cast<int64_t>(kMaxListedTokens)));
  std::string& text = *page.mutable_text();
  for (int32_t id = first; id < end && text.size() < kMaxListedBytes; ++id) {
    text += table.Bytes(id);
    page.add_lengths(static_cast<uint32_t>(table.Bytes(id).size()));
    if (table.IsSpecial(id)) page.add_special_token_ids(id);
  }
  return page;
}

grpc::ServerUnaryReactor* TokenizerService::ListTokens(grpc::CallbackServerContext* context,
                                                       const v1::ListTokensRequest* request,
                                                       v1::ListTokensResponse* response) {
  using Reply = platform::UnaryReply<v1::ListTokensResponse>;
  return platform::ServeUnary(context, response, [&](const CallContext&, std::shared_ptr<Reply> reply) {
    reply->Finish(TokensFrom(request->first_token_id()));
  });
}

Result<v1::RenderChatResponse> TokenizerService::Render(const std::vector<ChatTurn>& turns,
                                                        bool add_generation_prompt) const {
  CONCLAVE_ASSIGN_OR_RETURN(RenderedChat chat, tokenizer_->RenderChat(turns, add_generation_prompt));
  counters_.CountEncoded(chat.text.size(), chat.token_ids.size());
  v1::RenderChatResponse response;
  response.set_text(std::move(chat.text));
  response.mutable_token_ids()->Add(chat.token_ids.begin(), chat.token_ids.end());
  return response;
}

grpc::ServerUnaryReactor* TokenizerService::RenderChat(grpc::CallbackServerContext* context,
                                                       const v1::RenderChatRequest* request,
                                                       v1::RenderChatResponse* response) {
  using Reply = platform::UnaryReply<v1::RenderChatResponse>;
  return platform::ServeUnary(context, response, [&](const CallContext&, std::shared_ptr<Reply> reply) {
    Result<std::vector<ChatTurn>> turns = ReadTurns(*request);
    if (!turns.ok()) return reply->Finish(turns.status());
    const bool add_generation_prompt = request->add_generation_prompt();
    const size_t bytes = BytesOf(*turns);
    if (bytes <= kInlineTextBytes) return reply->Finish(Render(*turns, add_generation_prompt));
    auto shared = std::make_shared<const std::vector<ChatTurn>>(std::move(turns).value());
    const Status posted = queue_.Post(bytes, [this, reply, shared, add_generation_prompt] {
      if (!reply->cancelled()) reply->Finish(Render(*shared, add_generation_prompt));
    });
    if (!posted.ok()) reply->Finish(posted);
  });
}

grpc::ServerUnaryReactor* TokenizerService::Describe(grpc::CallbackServerContext* context,
                                                     const v1::TokenizerServiceDescribeRequest*,
                                                     v1::TokenizerServiceDescribeResponse* response) {
  using Reply = platform::UnaryReply<v1::TokenizerServiceDescribeResponse>;
  return platform::ServeUnary(context, response, [this](const CallContext&, std::shared_ptr<Reply> reply) {
    const TokenizerDescription description = tokenizer_->Describe();
    v1::TokenizerServiceDescribeResponse answer;
    *answer.mutable_model() = model_;
    answer.set_kind(description.kind);
    answer.set_vocabulary_size(description.vocabulary_size);
    answer.mutable_end_token_ids()->Add(description.end_token_ids.begin(), description.end_token_ids.end());
    if (description.begin_token_id) answer.set_begin_token_id(*description.begin_token_id);
    answer.set_has_chat_template(description.has_chat_template);
    reply->Finish(std::move(answer));
  });
}

}  // namespace conclave::tokenizer
