#include <atomic>
#include <functional>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "tests/unit/platform/forward_fixture.h"

namespace conclave::platform {
namespace {

using test::ChatResponse;
using test::ChatStream;
using test::DecodeRequest;
using test::DecodeStream;
using test::Eventually;
using test::Promised;

constexpr int kMessages = 256;
constexpr size_t kMessageBytes = 1 << 20;
// What the windows and buffers of two sockets may hold, with much to spare; kMessages is well beyond.
constexpr int kHeldMessages = 96;
constexpr StreamOptions kShortQueue{.max_queued_messages = 4, .max_queued_bytes = 64 << 20};

/// Writes kMessages as fast as the other side takes them. Any thread may call.
struct PatientWriter {
  std::function<bool()> writable;
  std::function<void()> write;
  std::atomic<int> written{0};
  std::mutex mutex;

  void Advance() {
    std::lock_guard lock(mutex);
    while (written < kMessages && writable()) {
      ++written;
      write();
    }
  }

  /// Waits until it has written everything, or has not got on for a hundred looks in a row.
  void WaitUntilDoneOrStuck() {
    int last = -1;
    int looks = 0;
    EXPECT_TRUE(Eventually([&] {
      const int now = written;
      looks = now == last ? looks + 1 : 0;
      last = now;
      return now == kMessages || (now > 0 && looks >= 100);
    }));
  }
};

class ForwardPressureTest : public test::ForwardTest {};

TEST_F(ForwardPressureTest, ASlowReaderHoldsItsServiceBack) {
  auto writer = std::make_shared<PatientWriter>();
  router_service_.options = kShortQueue;
  router_service_.on_chat = [writer](const CallContext&, ChatStream stream) {
    writer->writable = [stream] { return stream->writable(); };
    writer->write = [stream, writer] {
      ChatResponse response;
      response.mutable_delta()->set_text(std::string(kMessageBytes, 'x'));
      EXPECT_TRUE(stream->Write(std::move(response)));
      if (writer->written == kMessages) stream->Finish(Status::Ok());
    };
    stream->OnWritable([writer] { writer->Advance(); });
    std::thread([writer] { writer->Advance(); }).join();
  };
  StartBoth();
  const auto reader = Chat();
  reader->PauseReading();
  writer->WaitUntilDoneOrStuck();
  EXPECT_LT(writer->written, kHeldMessages) << "somebody between the two keeps what the reader did not take";
  reader->ResumeReading();
  EXPECT_EQ(seen_->done.Wait(), Status::Ok());
  EXPECT_EQ(seen_->text.size(), kMessages * kMessageBytes);
  writer->writable = nullptr;
  writer->write = nullptr;
}

TEST_F(ForwardPressureTest, ASlowServiceHoldsItsWriterBack) {
  auto received = std::make_shared<std::atomic<int>>(0);
  Promised<DecodeStream> held;
  tokenizer_service_.on_decode = [&, received](const CallContext&, DecodeStream stream) {
    stream->OnMessage([received](const DecodeRequest&) { ++*received; });
    stream->OnHalfClose([stream] { stream->Finish(Status::Ok()); });
    stream->PauseReading();
    held.Set(stream);
  };
  StartBoth();
  auto writer = std::make_shared<PatientWriter>();
  const auto client = Decode([writer] { writer->Advance(); }, kShortQueue);
  writer->writable = [&] { return client->writable(); };
  writer->write = [&] {
    DecodeRequest request;
    // Five bytes each on the wire.
    request.mutable_token_ids()->Resize(kMessageBytes / 5, 1 << 30);
    EXPECT_TRUE(client->Write(std::move(request)));
    if (writer->written == kMessages) client->HalfClose();
  };
  writer->Advance();
  writer->WaitUntilDoneOrStuck();
  EXPECT_LT(writer->written, kHeldMessages) << "somebody between the two keeps what the service did not take";
  EXPECT_EQ(*received, 0);
  (*held.Wait())->ResumeReading();
  EXPECT_EQ(seen_->done.Wait(), Status::Ok());
  EXPECT_EQ(*received, kMessages);
}

}  // namespace
}  // namespace conclave::platform
