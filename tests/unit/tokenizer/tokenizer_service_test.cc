#include "services/tokenizer/tokenizer_service.h"

#include <thread>

#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include "platform/rpc/server.h"
#include "services/tokenizer/limits.h"
#include "tests/unit/tokenizer/small_vocabulary.h"

namespace conclave::tokenizer {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr char kMessageTemplate[] = "{% for m in messages %}<|start|>{{ m['content'] }}<|end|>{% endfor %}";

std::shared_ptr<const ModelTokenizer> SmallTokenizer() {
  TokenizerFiles files{SmallParts(WordMerges()), kMessageTemplate};
  files.vocabulary.end_token_ids = {266};
  auto tokenizer = ModelTokenizer::Create(std::move(files));
  EXPECT_TRUE(tokenizer.ok()) << tokenizer.status().ToString();
  return *tokenizer;
}

v1::ModelIdentity Identity() {
  v1::ModelIdentity identity;
  identity.set_name("small");
  return identity;
}

/// The service behind an in-process channel.
class TokenizerServiceTest : public testing::Test {
 protected:
  void SetUp() override {
    auto server = platform::Server::Start({}, {{v1::TokenizerService::service_full_name(), &service_}});
    ASSERT_TRUE(server.ok()) << server.status().ToString();
    server_ = std::move(server).value();
    stub_ = v1::TokenizerService::NewStub(server_->InProcessChannel());
  }

  void TearDown() override {
    stub_.reset();
    if (server_) server_->Shutdown(std::chrono::milliseconds(0));
  }

  grpc::ClientContext& Context() {
    contexts_.push_back(std::make_unique<grpc::ClientContext>());
    contexts_.back()->set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(120));
    return *contexts_.back();
  }

  static v1::DecodeRequest Tokens(uint64_t sequence, const std::vector<int32_t>& ids, bool last = false) {
    v1::DecodeRequest request;
    request.set_sequence_id(sequence);
    request.mutable_token_ids()->Add(ids.begin(), ids.end());
    request.set_last(last);
    return request;
  }

  platform::Metrics metrics_;
  TokenizerCounters counters_{metrics_};
  LargeTextQueue queue_{[this](size_t bytes) { counters_.queued_bytes.Set(static_cast<double>(bytes)); }};
  TokenizerService service_{SmallTokenizer(), Identity(), queue_, counters_};
  std::vector<std::unique_ptr<grpc::ClientContext>> contexts_;
  std::unique_ptr<platform::Server> server_;
  std::unique_ptr<v1::TokenizerService::Stub> stub_;
};

TEST_F(TokenizerServiceTest, EncodesInOrderWithLargeTextsBetween) {
  auto stream = stub_->Encode(&Context());
  const std::string large(kInlineTextBytes + 1, ' ');
  std::thread writer([&] {
    for (uint64_t id = 0; id < 40; ++id) {
      v1::EncodeRequest request;
      request.set_id(id);
      request.set_text(id % 3 == 1 ? large : "hello world");
      EXPECT_TRUE(stream->Write(request));
    }
    stream->WritesDone();
  });
  v1::EncodeResponse response;
  uint64_t next = 0;
  for (; stream->Read(&response); ++next) {
    EXPECT_EQ(response.id(), next);
    if (next % 3 != 1) EXPECT_THAT(response.token_ids(), ElementsAre(259, 264));
    if (next % 3 == 1) EXPECT_EQ(response.token_ids_size(), static_cast<int>(large.size()));
  }
  writer.join();
  EXPECT_TRUE(stream->Finish().ok());
  EXPECT_EQ(next, 40u);
}

TEST_F(TokenizerServiceTest, AClientThatReadsLateGetsEveryAnswer) {
  auto stream = stub_->Encode(&Context());
  constexpr int kRequests = 5000;
  std::thread writer([&] {
    for (int i = 0; i < kRequests; ++i) {
      v1::EncodeRequest request;
      request.set_text(std::string(2000, 'x'));
      if (!stream->Write(request)) break;
    }
    stream->WritesDone();
  });
  int answers = 0;
  for (v1::EncodeResponse response; stream->Read(&response);) ++answers;
  writer.join();
  const grpc::Status status = stream->Finish();
  EXPECT_TRUE(status.ok()) << status.error_message();
  EXPECT_EQ(answers, kRequests);
}

TEST_F(TokenizerServiceTest, RefusesATextThatIsTooLarge) {
  auto stream = stub_->Encode(&Context());
  v1::EncodeRequest request;
  request.set_text(std::string(kMaxTextBytes + 1, ' '));
  stream->Write(request);
  v1::EncodeResponse response;
  EXPECT_FALSE(stream->Read(&response));
  const grpc::Status status = stream->Finish();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(status.error_message(), HasSubstr("16777217 bytes"));
}

TEST_F(TokenizerServiceTest, ListsItsTokens) {
  v1::ListTokensRequest request;
  request.set_first_token_id(258);
  v1::ListTokensResponse page;
  ASSERT_TRUE(stub_->ListTokens(&Context(), request, &page).ok());
  EXPECT_EQ(page.model().name(), "small");
  EXPECT_EQ(page.vocabulary_size(), 269u);
  EXPECT_EQ(page.text(), "hellhello wor wor worl world hello<|end|><|start|><tool>");
  EXPECT_THAT(page.lengths(), ElementsAre(4, 5, 2, 2, 4, 5, 6, 6, 7, 9, 6));
  EXPECT_THAT(page.special_token_ids(), ElementsAre(266, 267)) << "a user-defined token is text";
  for (const int32_t id : {-1, 269}) {
    request.set_first_token_id(id);
    EXPECT_EQ(stub_->ListTokens(&Context(), request, &page).error_code(), grpc::StatusCode::OUT_OF_RANGE);
  }
}

TEST_F(TokenizerServiceTest, RefusesTooManyTokensAtOnce) {
  auto stream = stub_->Decode(&Context());
  stream->Write(Tokens(1, std::vector<int32_t>(kMaxDecodeTokens + 1, 'a')));
  v1::DecodeResponse response;
  EXPECT_FALSE(stream->Read(&response));
  const grpc::Status status = stream->Finish();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(status.error_message(), HasSubstr("1048577 token ids"));
}

TEST_F(TokenizerServiceTest, DecodesSeveralPartsInOneMessage) {
  auto stream = stub_->Decode(&Context());
  v1::DecodeRequest request = Tokens(1, {259, 0xE2});
  *request.add_more() = Tokens(2, {264}, true);
  *request.add_more() = Tokens(1, {0x82, 0xAC}, true);
  ASSERT_TRUE(stream->Write(request));
  v1::DecodeResponse response;
  ASSERT_TRUE(stream->Read(&response));
  EXPECT_EQ(response.sequence_id(), 1u);
  EXPECT_EQ(response.text(), "hello");
  EXPECT_FALSE(response.last());
  ASSERT_EQ(response.more_size(), 2);
  EXPECT_EQ(response.more(0).sequence_id(), 2u);
  EXPECT_EQ(response.more(0).text(), " world");
  EXPECT_EQ(response.more(1).text(), "€");
  EXPECT_TRUE(response.more(1).last());

  *request.mutable_more(0)->add_more() = Tokens(3, {264});
  ASSERT_TRUE(stream->Write(request));
  EXPECT_FALSE(stream->Read(&response));
  const grpc::Status status = stream->Finish();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(status.error_message(), HasSubstr("`more` within `more`"));
}

TEST_F(TokenizerServiceTest, RefusesAMessageWithTooManyParts) {
  auto stream = stub_->Decode(&Context());
  v1::DecodeRequest request = Tokens(1, {259});
  for (size_t part = 0; part <= kMaxDecodeParts; ++part) request.add_more()->set_sequence_id(1);
  ASSERT_TRUE(stream->Write(request));
  v1::DecodeResponse response;
  EXPECT_FALSE(stream->Read(&response));
  EXPECT_THAT(stream->Finish().error_message(), HasSubstr("at most 65536 further parts"));
}

TEST_F(TokenizerServiceTest, DecodesManySequencesApart) {
  auto stream = stub_->Decode(&Context());
  const auto exchange = [&](const v1::DecodeRequest& request) {
    EXPECT_TRUE(stream->Write(request));
    v1::DecodeResponse response;
    EXPECT_TRUE(stream->Read(&response));
    EXPECT_EQ(response.sequence_id(), request.sequence_id());
    EXPECT_EQ(response.last(), request.last());
    return response.text();
  };
  EXPECT_EQ(exchange(Tokens(1, {259, 0xE2})), "hello");
  EXPECT_EQ(exchange(Tokens(2, {264, 0xE2})), " world");
  EXPECT_EQ(exchange(Tokens(1, {0x82, 0xAC})), "€");
  EXPECT_EQ(exchange(Tokens(2, {}, /*last=*/true)), "\uFFFD");
  EXPECT_EQ(exchange(Tokens(2, {0x82}, /*last=*/true)), "\uFFFD") << "a new sequence of the same id";
  EXPECT_EQ(exchange(Tokens(1, {266}, /*last=*/true)), "");
  stream->WritesDone();
  EXPECT_TRUE(stream->Finish().ok());
}

TEST_F(TokenizerServiceTest, RefusesAnIdThatIsNoToken) {
  auto stream = stub_->Decode(&Context());
  stream->Write(Tokens(1, {100000}));
  v1::DecodeResponse response;
  EXPECT_FALSE(stream->Read(&response));
  const grpc::Status status = stream->Finish();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(status.error_message(), HasSubstr("100000"));
}

TEST_F(TokenizerServiceTest, BoundsTheOpenSequences) {
  auto stream = stub_->Decode(&Context());
  v1::DecodeResponse response;
  for (uint64_t id = 0; id < kMaxOpenSequences; ++id) {
    ASSERT_TRUE(stream->Write(Tokens(id, {'a'})));
    ASSERT_TRUE(stream->Read(&response));
  }
  EXPECT_EQ(counters_.open_sequences.Value(), static_cast<double>(kMaxOpenSequences));
  stream->Write(Tokens(kMaxOpenSequences, {'a'}));
  EXPECT_FALSE(stream->Read(&response));
  EXPECT_EQ(stream->Finish().error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
}

TEST_F(TokenizerServiceTest, RendersSmallAndLargeChats) {
  for (const size_t bytes : {size_t{5}, kInlineTextBytes + 1}) {
    v1::RenderChatRequest request;
    v1::ChatMessage& message = *request.add_messages();
    message.set_role(v1::ROLE_USER);
    message.set_content(std::string(bytes, 'x'));
    v1::RenderChatResponse response;
    const grpc::Status status = stub_->RenderChat(&Context(), request, &response);
    ASSERT_TRUE(status.ok()) << status.error_message();
    EXPECT_EQ(response.text(), "<|start|>" + message.content() + "<|end|>");
    EXPECT_EQ(response.token_ids_size(), static_cast<int>(bytes) + 2);
  }
}

TEST_F(TokenizerServiceTest, RefusesBadChats) {
  v1::RenderChatRequest request;
  v1::RenderChatResponse response;
  EXPECT_EQ(stub_->RenderChat(&Context(), request, &response).error_code(),
            grpc::StatusCode::INVALID_ARGUMENT);
  request.add_messages()->set_content("x");
  grpc::Status status = stub_->RenderChat(&Context(), request, &response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(status.error_message(), HasSubstr("message 0: the role"));
  request.mutable_messages(0)->set_role(v1::ROLE_USER);
  request.mutable_messages(0)->set_content(std::string(kMaxMessageBytes + 1, 'x'));
  status = stub_->RenderChat(&Context(), request, &response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(status.error_message(), HasSubstr("1048577 bytes"));
}

TEST_F(TokenizerServiceTest, DescribesTheVocabulary) {
  v1::TokenizerServiceDescribeResponse response;
  ASSERT_TRUE(stub_->Describe(&Context(), {}, &response).ok());
  EXPECT_EQ(response.model().name(), "small");
  EXPECT_EQ(response.kind(), "byte-level BPE");
  EXPECT_EQ(response.vocabulary_size(), 269u);
  EXPECT_THAT(response.end_token_ids(), ElementsAre(266));
  EXPECT_FALSE(response.has_begin_token_id());
  EXPECT_TRUE(response.has_chat_template());
}

}  // namespace
}  // namespace conclave::tokenizer
