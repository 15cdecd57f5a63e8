#include "services/experts/memory_exchange.h"

#include <gmock/gmock.h>
#include <unistd.h>

#include "platform/exchange/frame_checksum.h"
#include "services/experts/limits.h"
#include "tests/unit/experts/shard_fixture.h"

namespace conclave::experts {
namespace {

using platform::MessageChannel;
using platform::SharedRegion;
using ::testing::HasSubstr;

constexpr uint64_t kToken = 42;

MessageChannel::Deadline Soon() { return std::chrono::steady_clock::now() + std::chrono::seconds(60); }

/// A client that shares memory with the shard.
class AttachedClient {
 public:
  explicit AttachedClient(v1::ExpertsService::Stub& stub) : stream_(stub.Attach(&context_)) {
    auto region = *SharedRegion::Create(MessageChannel::RegionBytes(platform::kRingBytes));
    request_.set_process_id(static_cast<uint32_t>(getpid()));
    request_.set_file_number(static_cast<uint32_t>(region->descriptor()));
    request_.set_token(kToken);
    channel_ = *MessageChannel::Open(std::move(region), MessageChannel::Side::kCreator, kToken, 64 << 20);
  }

  /// What the shard is told; tests spoil it before Attach.
  v1::AttachRequest& request() { return request_; }
  bool Attach() {
    v1::AttachResponse response;
    return stream_->Write(request_) && stream_->Read(&response);
  }

  Status Send(v1::ExchangeRequest request) {
    const std::string body = std::exchange(*request.mutable_input()->mutable_data(), {});
    return channel_->Send(request.SerializeAsString(), body, Soon());
  }
  std::optional<v1::ExchangeResponse> Receive() {
    MessageChannel::Message message;
    v1::ExchangeResponse response;
    if (!channel_->Receive(message, Soon()).ok() || !response.ParseFromString(message.head)) return {};
    response.mutable_output()->set_data(message.body);
    return response;
  }
  MessageChannel& channel() { return *channel_; }
  grpc::Status Finish() {
    stream_->WritesDone();
    v1::AttachResponse response;
    while (stream_->Read(&response)) {
    }
    return stream_->Finish();
  }
  void TryCancel() { context_.TryCancel(); }

 private:
  grpc::ClientContext context_;
  std::unique_ptr<grpc::ClientReaderWriter<v1::AttachRequest, v1::AttachResponse>> stream_;
  v1::AttachRequest request_;
  std::unique_ptr<MessageChannel> channel_;
};

class MemoryExchangeTest : public ShardTest {
 protected:
  void ExpectRefused(AttachedClient& client, grpc::StatusCode code, const std::string& named) {
    EXPECT_FALSE(client.Attach());
    const grpc::Status status = client.Finish();
    EXPECT_EQ(status.error_code(), code) << status.error_message();
    EXPECT_THAT(status.error_message(), HasSubstr(named));
    ExpectStillServes();
  }

  /// A frame with its checksum.
  v1::ExchangeRequest Frame(const LayerInput& input, uint64_t frame) {
    v1::ExchangeRequest request = input.Request(frame, 0, kHash);
    request.set_checksum(platform::FrameChecksum(request));
    return request;
  }
};

INSTANTIATE_TEST_SUITE_P(MatrixTypes, MemoryExchangeTest,
                         ::testing::Values(MatrixType::kF32, MatrixType::kQ8_0), MatrixTypeName);

TEST_P(MemoryExchangeTest, AnswersWithTheBitsOfAFunctionCall) {
  AttachedClient client(*stub_);
  ASSERT_TRUE(client.Attach());
  uint64_t frame = 0;
  for (const int64_t tokens : {1, 33, 4000, 1}) {
    const auto input = Input(tokens, static_cast<uint32_t>(frame));
    ASSERT_TRUE(client.Send(Frame(*input, frame)).ok());
    const auto response = client.Receive();
    ExpectHolds(response, frame, Computed(0, input->input), tokens);
    EXPECT_EQ(response->checksum(), platform::FrameChecksum(*response));
    EXPECT_GT(response->compute_ns(), 0u);
    ++frame;
  }
}

TEST_P(MemoryExchangeTest, FramesMayBeSentBeforeAnswersAreTaken) {
  AttachedClient client(*stub_);
  ASSERT_TRUE(client.Attach());
  const auto input = Input(500, 1);
  for (uint64_t frame = 0; frame < 8; ++frame) ASSERT_TRUE(client.Send(Frame(*input, frame)).ok());
  for (uint64_t frame = 0; frame < 8; ++frame) {
    ExpectHolds(client.Receive(), frame, Computed(0, input->input), 500);
  }
}

TEST_P(MemoryExchangeTest, RefusedFrameEndsItsStreamWithTheReason) {
  const auto input = Input(2, 1);
  AttachedClient damaged(*stub_), unreadable(*stub_), disordered(*stub_);
  ASSERT_TRUE(damaged.Attach() && unreadable.Attach() && disordered.Attach());
  v1::ExchangeRequest bad = Frame(*input, 0);
  bad.mutable_input()->mutable_data()->front() ^= 1;
  ASSERT_TRUE(damaged.Send(bad).ok());
  EXPECT_THAT(damaged.Finish().error_message(), HasSubstr("frame 0 was damaged on its way"));
  ASSERT_TRUE(unreadable.channel().Send("\xff\xff\xff", "x", Soon()).ok());
  EXPECT_EQ(unreadable.Finish().error_code(), grpc::StatusCode::DATA_LOSS);
  ASSERT_TRUE(disordered.Send(Frame(*input, 3)).ok());
  EXPECT_EQ(disordered.Finish().error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  ExpectStillServes();
}

TEST_P(MemoryExchangeTest, DamagedFrameOnAStreamEndsItWithDataLoss) {
  const auto input = Input(2, 1);
  ExchangeClient client(*stub_);
  v1::ExchangeRequest bad = Frame(*input, 0);
  bad.set_layer(1);
  ASSERT_TRUE(client.Send(bad));
  EXPECT_FALSE(client.Receive().has_value());
  EXPECT_EQ(client.Finish().error_code(), grpc::StatusCode::DATA_LOSS);
}

TEST_P(MemoryExchangeTest, MemoryThatIsNotTheCallersIsRefused) {
  AttachedClient other_token(*stub_), no_process(*stub_), no_file(*stub_), twice(*stub_);
  other_token.request().set_token(kToken + 1);
  ExpectRefused(other_token, grpc::StatusCode::INVALID_ARGUMENT, "not the one that was meant");
  no_process.request().set_process_id(0);
  ExpectRefused(no_process, grpc::StatusCode::INVALID_ARGUMENT, "no such process");
  no_file.request().set_file_number(12345);
  ExpectRefused(no_file, grpc::StatusCode::UNAVAILABLE, "cannot open the caller's memory");
  ASSERT_TRUE(twice.Attach());
  ExpectRefused(twice, grpc::StatusCode::INVALID_ARGUMENT, "attaches memory once");
}

TEST_P(MemoryExchangeTest, ThreadsOfClientsThatLeftAreFree) {
  for (size_t i = 0; i < 2 * kMostAttached; ++i) {
    AttachedClient client(*stub_);
    ASSERT_TRUE(client.Attach()) << client.Finish().error_message();
    client.Finish();
  }
}

TEST_P(MemoryExchangeTest, ShardEndsWhileClientsAreAttached) {
  AttachedClient idle(*stub_);
  ASSERT_TRUE(idle.Attach());
  Stop();
  EXPECT_FALSE(idle.Finish().ok());
}

}  // namespace
}  // namespace conclave::experts
