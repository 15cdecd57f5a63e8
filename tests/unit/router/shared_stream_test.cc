#include "services/router/shared_stream.h"

#include <atomic>
#include <map>
#include <mutex>

#include <gmock/gmock.h>

#include "tests/unit/platform/rpc_fixture.h"

namespace conclave::router {
namespace {

using platform::test::DecodeStream;
using platform::test::Eventually;
using ::testing::ElementsAre;
using Shared = SharedStream<v1::DecodeRequest, v1::DecodeResponse, v1::DecodeResponse>;

/// What the conversations heard; filled by gRPC's threads.
class Ear {
 public:
  Shared::Handler For(const std::string& who) {
    return [this, who](Result<v1::DecodeResponse> item) {
      std::lock_guard lock(mutex_);
      heard_[who].push_back(item.ok() ? item->text() : item.status().ToString());
    };
  }
  std::vector<std::string> Heard(const std::string& who) {
    std::lock_guard lock(mutex_);
    return heard_[who];
  }
  bool Hears(const std::string& who, size_t count) {
    return Eventually([&] { return Heard(who).size() >= count; });
  }

 private:
  std::mutex mutex_;
  std::map<std::string, std::vector<std::string>> heard_;
};

/// A stream shared by conversations, to a server that answers as the test says.
class SharedStreamTest : public platform::test::RpcTest {
 protected:
  void SetUp() override {
    tokenizer_service_.on_decode = [this](const platform::CallContext&, const DecodeStream& stream) {
      ++opened_;
      // The callback is the stream's own: holding the stream in it strongly would keep it for ever.
      std::weak_ptr weak = stream;
      stream->OnMessage([this, weak](v1::DecodeRequest request) {
        if (auto open = weak.lock()) Answer(*open, request);
      });
      std::lock_guard lock(mutex_);
      streams_.push_back(stream);
    };
    StartServer();
    shared_ = std::make_shared<Shared>(
        [this](Shared::Stream::Callbacks callbacks) -> Result<std::shared_ptr<Shared::Stream>> {
          if (!open_failure_.ok()) return open_failure_;
          return Shared::Stream::Start(tokenizer_->async(), &platform::test::TokenizerAsync::Decode,
                                       std::make_unique<grpc::ClientContext>(), std::move(callbacks));
        },
        [](v1::DecodeResponse response) {
          Shared::Items items;
          items.emplace_back(response.sequence_id(), std::move(response));
          return items;
        });
  }

  void TearDown() override {
    shared_.reset();
    std::lock_guard lock(mutex_);
    streams_.clear();
  }

  /// Sends back its first token as text; token 0 breaks the stream, token 1 speaks to a conversation there is
  /// not, before the answer.
  static void Answer(platform::BidiServerStream<v1::DecodeRequest, v1::DecodeResponse>& stream,
                     const v1::DecodeRequest& request) {
    const int32_t token = request.token_ids(0);
    if (token == 0) return stream.Finish(Unavailable("the tokenizer is restarting"));
    v1::DecodeResponse response;
    if (token == 1) {
      response.set_sequence_id(request.sequence_id() + 1000);
      stream.Write(response);
    }
    response.set_sequence_id(request.sequence_id());
    response.set_text(std::to_string(token));
    stream.Write(response);
  }

  static v1::DecodeRequest Message(uint64_t id, int32_t token) {
    v1::DecodeRequest request;
    request.set_sequence_id(id);
    request.add_token_ids(token);
    return request;
  }

  uint64_t Begin(const std::string& who) { return shared_->Begin(ear_.For(who)); }

  std::mutex mutex_;
  std::vector<DecodeStream> streams_;  // guarded by mutex_
  std::atomic<int> opened_ = 0;
  Status open_failure_;
  Ear ear_;
  std::shared_ptr<Shared> shared_;
};

TEST_F(SharedStreamTest, ConversationsShareOneStreamAndHearTheirOwn) {
  const uint64_t a = Begin("a");
  const uint64_t b = Begin("b");
  EXPECT_NE(a, b);
  EXPECT_EQ(opened_, 0) << "nothing was sent yet";
  for (const int32_t token : {11, 12, 13}) shared_->Send(Message(a, token));
  shared_->Send(Message(b, 21));
  shared_->Send(Message(a, 1));
  ASSERT_TRUE(ear_.Hears("a", 4) && ear_.Hears("b", 1));
  EXPECT_THAT(ear_.Heard("a"), ElementsAre("11", "12", "13", "1"));
  EXPECT_THAT(ear_.Heard("b"), ElementsAre("21"));
  EXPECT_EQ(opened_, 1);
}

TEST_F(SharedStreamTest, EndedConversationHearsNothingMore) {
  const uint64_t a = Begin("a");
  const uint64_t b = Begin("b");
  shared_->Send(Message(a, 11));
  ASSERT_TRUE(ear_.Hears("a", 1));
  shared_->End(a);
  shared_->Send(Message(a, 12));
  shared_->Send(Message(b, 21));
  ASSERT_TRUE(ear_.Hears("b", 1));
  EXPECT_THAT(ear_.Heard("a"), ElementsAre("11"));
}

TEST_F(SharedStreamTest, BreakEndsEveryConversationOnceAndTheNextOpensAnew) {
  const uint64_t a = Begin("a");
  Begin("b");
  shared_->Send(Message(a, 11));
  ASSERT_TRUE(ear_.Hears("a", 1));
  shared_->Send(Message(a, 0));
  ASSERT_TRUE(ear_.Hears("a", 2) && ear_.Hears("b", 1));
  EXPECT_THAT(ear_.Heard("b"), ElementsAre("UNAVAILABLE: the tokenizer is restarting"));
  const uint64_t c = Begin("c");
  EXPECT_NE(c, a);
  shared_->Send(Message(c, 31));
  ASSERT_TRUE(ear_.Hears("c", 1));
  EXPECT_THAT(ear_.Heard("c"), ElementsAre("31"));
  EXPECT_EQ(opened_, 2);
  EXPECT_EQ(ear_.Heard("a").size(), 2u);
  EXPECT_EQ(ear_.Heard("b").size(), 1u);
}

TEST_F(SharedStreamTest, StreamThatTheServiceClosesInPeaceIsABreakToo) {
  const uint64_t a = Begin("a");
  shared_->Send(Message(a, 11));
  ASSERT_TRUE(ear_.Hears("a", 1));
  {
    std::lock_guard lock(mutex_);
    streams_.front()->Finish(Status::Ok());
  }
  ASSERT_TRUE(ear_.Hears("a", 2));
  EXPECT_EQ(ear_.Heard("a")[1], "UNAVAILABLE: the service closed the stream");
}

TEST_F(SharedStreamTest, StreamThatCannotBeOpenedFailsWhoWaits) {
  open_failure_ = FailedPrecondition("not configured");
  const uint64_t a = Begin("a");
  shared_->Send(Message(a, 11));
  EXPECT_THAT(ear_.Heard("a"), ElementsAre("FAILED_PRECONDITION: not configured"));
  open_failure_ = Status::Ok();
  const uint64_t b = Begin("b");
  shared_->Send(Message(b, 21));
  ASSERT_TRUE(ear_.Hears("b", 1));
  EXPECT_THAT(ear_.Heard("b"), ElementsAre("21"));
  EXPECT_EQ(ear_.Heard("a").size(), 1u);
}

TEST_F(SharedStreamTest, CancellationOpensNoStream) {
  const uint64_t a = Begin("a");
  shared_->SendIfOpen(Message(a, 11));
  EXPECT_EQ(opened_, 0);
  shared_->Send(Message(a, 12));
  ASSERT_TRUE(ear_.Hears("a", 1));
  shared_->SendIfOpen(Message(a, 13));
  ASSERT_TRUE(ear_.Hears("a", 2));
  EXPECT_THAT(ear_.Heard("a"), ElementsAre("12", "13"));
}

TEST_F(SharedStreamTest, VanishedServerEndsTheConversations) {
  const uint64_t a = Begin("a");
  shared_->Send(Message(a, 11));
  ASSERT_TRUE(ear_.Hears("a", 1));
  server_->Shutdown(std::chrono::milliseconds(0));
  ASSERT_TRUE(ear_.Hears("a", 2));
  shared_->Send(Message(Begin("b"), 21));
  ASSERT_TRUE(ear_.Hears("b", 1)) << "a stream to nobody must end, not hang";
}

/// The router goes down while a stream is open: its late end finds nobody, and hurts nobody.
TEST_F(SharedStreamTest, OwnerMayGoFirst) {
  const uint64_t a = Begin("a");
  shared_->Send(Message(a, 11));
  ASSERT_TRUE(ear_.Hears("a", 1));
  shared_.reset();
  EXPECT_TRUE(Eventually([&] {
    std::lock_guard lock(mutex_);
    return streams_.front()->cancelled();
  }));
  EXPECT_EQ(ear_.Heard("a").size(), 1u);
}

}  // namespace
}  // namespace conclave::router
