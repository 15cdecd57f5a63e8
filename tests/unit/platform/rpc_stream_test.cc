#include <atomic>
#include <chrono>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "tests/unit/platform/rpc_fixture.h"

namespace conclave::platform {
namespace {

using namespace std::chrono_literals;
using test::ChatResponse;
using test::ChatStream;
using test::DecodeRequest;
using test::DecodeResponse;
using test::DecodeStream;
using test::Eventually;
using test::Promised;

using ChatReader = ClientStreamReader<ChatResponse>;
using DecodeClient = ClientBidiStream<DecodeRequest, DecodeResponse>;

ChatResponse Delta(std::string text) {
  ChatResponse response;
  response.mutable_delta()->set_text(std::move(text));
  return response;
}

DecodeRequest Sequence(uint64_t id) {
  DecodeRequest request;
  request.set_sequence_id(id);
  return request;
}

DecodeResponse Echo(const DecodeRequest& request) {
  DecodeResponse response;
  response.set_sequence_id(request.sequence_id());
  return response;
}

class StreamTest : public test::RpcTest {
 protected:
  /// What a client saw; shared with its callbacks.
  struct Seen {
    std::mutex mutex;
    std::vector<uint64_t> ids;
    std::string text;
    std::atomic<size_t> messages{0};
    Promised<Status> done;
  };

  std::shared_ptr<ChatReader> Chat(const std::shared_ptr<Seen>& seen) {
    return ChatReader::Start(router_->async(), &test::RouterAsync::Chat, ClientContextFor({}, kNoTimeout), {},
                             {.on_message =
                                  [seen](ChatResponse response) {
                                    std::lock_guard lock(seen->mutex);
                                    seen->text += response.delta().text();
                                    ++seen->messages;
                                  },
                              .on_done = [seen](Status status) { seen->done.Set(std::move(status)); }});
  }

  std::shared_ptr<Seen> seen_ = std::make_shared<Seen>();
};

enum class Carrier : uint8_t { kGrpc, kFunctionCalls };

/// Streams in both directions, over gRPC and within the process: what holds for one holds for the other.
class BidiTest : public StreamTest, public ::testing::WithParamInterface<Carrier> {
 protected:
  std::shared_ptr<DecodeClient> Decode(const std::shared_ptr<Seen>& seen, const StreamOptions& options = {}) {
    DecodeClient::Callbacks callbacks{
        .on_message =
            [seen](DecodeResponse response) {
              std::lock_guard lock(seen->mutex);
              seen->ids.push_back(response.sequence_id());
              ++seen->messages;
            },
        .on_done = [seen](Status status) { seen->done.Set(std::move(status)); }};
    if (GetParam() == Carrier::kGrpc) {
      return DecodeClient::Start(tokenizer_->async(), &test::TokenizerAsync::Decode,
                                 ClientContextFor({}, kNoTimeout), std::move(callbacks), options);
    }
    local_.Offer<DecodeRequest, DecodeResponse>(tokenizer_service_.on_decode);
    auto client = local_.Start<DecodeRequest, DecodeResponse>(std::move(callbacks), options);
    EXPECT_TRUE(client.ok()) << client.status().ToString();
    return client.ok() ? *client : nullptr;
  }

  LocalStreams local_;
};

INSTANTIATE_TEST_SUITE_P(Carriers, BidiTest, ::testing::Values(Carrier::kGrpc, Carrier::kFunctionCalls),
                         [](const auto& info) {
                           return info.param == Carrier::kGrpc ? "Grpc" : "FunctionCalls";
                         });

TEST_F(StreamTest, WritesFromAnotherThreadArriveInOrder) {
  std::thread writer;
  router_service_.on_chat = [&](const CallContext&, ChatStream stream) {
    writer = std::thread([stream] {
      for (int i = 0; i < 500; ++i) ASSERT_TRUE(stream->Write(Delta(std::to_string(i) + " ")));
      stream->Finish(Status::Ok());
      EXPECT_FALSE(stream->Write(Delta("too late")));
    });
  };
  StartServer();
  const auto reader = Chat(seen_);
  const auto done = seen_->done.Wait();
  writer.join();
  ASSERT_TRUE(done && done->ok()) << done->ToString();
  std::string expected;
  for (int i = 0; i < 500; ++i) expected += std::to_string(i) + " ";
  EXPECT_EQ(seen_->text, expected);
}

TEST_F(StreamTest, AnErrorComesAfterWhatWasWrittenBefore) {
  router_service_.on_chat = [](const CallContext&, ChatStream stream) {
    stream->Write(Delta("half an answer"));
    stream->Finish(Unavailable("gone").WithRetryAfterMs(7));
  };
  StartServer();
  const auto reader = Chat(seen_);
  EXPECT_EQ(seen_->done.Wait(), Unavailable("gone").WithRetryAfterMs(7));
  EXPECT_EQ(seen_->text, "half an answer");
}

TEST_F(StreamTest, CancellingReachesTheWriter) {
  Promised<bool> cancelled;
  Promised<ChatStream> held;
  router_service_.on_chat = [&](const CallContext&, ChatStream stream) {
    stream->OnCancel([&] { cancelled.Set(true); });
    stream->Write(Delta("first"));
    held.Set(stream);
  };
  StartServer();
  const auto reader = Chat(seen_);
  ASSERT_TRUE(Eventually([&] { return seen_->messages == 1; }));
  reader->Cancel();
  EXPECT_TRUE(cancelled.Wait());
  EXPECT_EQ(seen_->done.Wait()->code(), StatusCode::kCancelled);
  const auto stream = *held.Wait();
  EXPECT_TRUE(stream->cancelled());
  EXPECT_FALSE(stream->Write(Delta("nobody listens")));
  Promised<bool> late;
  stream->OnCancel([&] { late.Set(true); });
  server_->Shutdown(0ms);
  stream->Finish(Status::Ok());
}

TEST_F(StreamTest, DroppingTheClientsHandleCancels) {
  Promised<bool> cancelled;
  Promised<ChatStream> held;
  router_service_.on_chat = [&](const CallContext&, ChatStream stream) {
    stream->OnCancel([&] { cancelled.Set(true); });
    held.Set(stream);
  };
  StartServer();
  auto reader = Chat(seen_);
  ASSERT_TRUE(held.Wait());
  reader.reset();
  EXPECT_TRUE(cancelled.Wait());
}

TEST_F(StreamTest, AReaderThatStopsEndsInResourceExhausted) {
  Promised<bool> overflowed;
  Promised<ChatStream> held;
  router_service_.options = {.max_queued_messages = 4, .max_queued_bytes = 1u << 30};
  router_service_.on_chat = [&](const CallContext&, ChatStream stream) {
    stream->OnCancel([&] { overflowed.Set(true); });
    held.Set(stream);
  };
  StartServer();
  const auto reader = Chat(seen_);
  reader->PauseReading();
  const auto stream = held.Wait();
  ASSERT_TRUE(stream);
  // More than any window between the two: the queue must fill.
  int written = 0;
  while ((*stream)->Write(Delta(std::string(1u << 20, 'x')))) {
    ASSERT_LT(++written, 1000);
  }
  EXPECT_TRUE(overflowed.is_set());
  EXPECT_FALSE((*stream)->writable());
  reader->ResumeReading();
  EXPECT_EQ(seen_->done.Wait()->code(), StatusCode::kResourceExhausted);
}

TEST_F(StreamTest, AStreamThatFilledUpIsWritableAgainWhenMostOfItIsRead) {
  Promised<bool> writable;
  Promised<ChatStream> held;
  router_service_.options = {.max_queued_messages = 16, .max_queued_bytes = 1u << 30};
  router_service_.on_chat = [&](const CallContext&, ChatStream stream) {
    stream->OnWritable([&] { writable.Set(true); });
    held.Set(stream);
  };
  StartServer();
  const auto reader = Chat(seen_);
  reader->PauseReading();
  const auto stream = *held.Wait();
  size_t written = 0;
  // More than any window between the two: the queue must fill, and a patient writer leaves half of it.
  for (; stream->writable(); ++written) {
    ASSERT_TRUE(stream->Write(Delta(std::string(1u << 20, 'x'))));
    ASSERT_LT(written, 1000u);
  }
  EXPECT_FALSE(writable.is_set());
  EXPECT_FALSE(stream->cancelled());
  reader->ResumeReading();
  ASSERT_TRUE(writable.Wait());
  EXPECT_TRUE(stream->writable());
  stream->Finish(Status::Ok());
  EXPECT_TRUE(seen_->done.Wait()->ok());
  EXPECT_EQ(seen_->messages, written);
}

TEST_F(StreamTest, AnAbortedStreamDropsWhatWaits) {
  Promised<bool> cancelled;
  Promised<ChatStream> held;
  router_service_.options = {.max_queued_messages = 64, .max_queued_bytes = 1u << 30};
  router_service_.on_chat = [&](const CallContext&, ChatStream stream) {
    stream->OnCancel([&] { cancelled.Set(true); });
    held.Set(stream);
  };
  StartServer();
  const auto reader = Chat(seen_);
  reader->PauseReading();
  const auto stream = *held.Wait();
  size_t written = 0;
  for (; stream->writable(); ++written) {
    ASSERT_TRUE(stream->Write(Delta(std::string(1u << 20, 'x'))));
    ASSERT_LT(written, 1000u);
  }
  stream->Abort(ResourceExhausted("too slow"));
  EXPECT_TRUE(cancelled.is_set());
  EXPECT_FALSE(stream->writable());
  EXPECT_FALSE(stream->Write(Delta("too late")));
  reader->ResumeReading();
  EXPECT_EQ(seen_->done.Wait(), ResourceExhausted("too slow"));
  EXPECT_LT(seen_->messages, written);
  stream->Abort(Internal("only the first end counts"));
}

TEST_F(StreamTest, APatientWriterIsToldWhenToGoOn) {
  std::atomic<int> left{200};
  router_service_.options = {.max_queued_messages = 16, .max_queued_bytes = 1u << 30};
  router_service_.on_chat = [&](const CallContext&, ChatStream stream) {
    const auto fill = [&left, stream] {
      while (left > 0 && stream->writable()) {
        --left;
        ASSERT_TRUE(stream->Write(Delta("x")));
      }
      if (left == 0) stream->Finish(Status::Ok());
    };
    stream->OnWritable(fill);
    // The callback may run on another thread from the first full queue on, so it must be the last to touch
    // the stream.
    std::thread(fill).join();
  };
  StartServer();
  const auto reader = Chat(seen_);
  const auto done = seen_->done.Wait();
  ASSERT_TRUE(done && done->ok());
  EXPECT_EQ(seen_->text, std::string(200, 'x'));
}

TEST_P(BidiTest, BothWaysInOrderThenHalfClose) {
  tokenizer_service_.on_decode = [](const CallContext&, DecodeStream stream) {
    auto count = std::make_shared<int>(0);
    stream->OnMessage([stream, count](const DecodeRequest& request) {
      ++*count;
      stream->Write(Echo(request));
    });
    stream->OnHalfClose(
        [stream, count] { stream->Finish(*count == 300 ? Status::Ok() : Internal("lost some")); });
  };
  StartServer();
  const auto client = Decode(seen_);
  for (uint64_t i = 0; i < 300; ++i) ASSERT_TRUE(client->Write(Sequence(i)));
  client->HalfClose();
  EXPECT_FALSE(client->Write(Sequence(0)));
  const auto done = seen_->done.Wait();
  ASSERT_TRUE(done && done->ok()) << done->ToString();
  ASSERT_EQ(seen_->ids.size(), 300u);
  for (uint64_t i = 0; i < 300; ++i) EXPECT_EQ(seen_->ids[i], i);
}

TEST_P(BidiTest, AVanishedClientIsNoticed) {
  Promised<bool> cancelled;
  tokenizer_service_.on_decode = [&](const CallContext&, DecodeStream stream) {
    stream->OnMessage([stream](const DecodeRequest& request) { stream->Write(Echo(request)); });
    stream->OnHalfClose([stream] {});
    stream->OnCancel([&] { cancelled.Set(true); });
  };
  StartServer();
  auto client = Decode(seen_);
  ASSERT_TRUE(client->Write(Sequence(1)));
  ASSERT_TRUE(Eventually([&] { return seen_->messages == 1; }));
  client.reset();
  EXPECT_TRUE(cancelled.Wait());
  EXPECT_EQ(seen_->done.Wait()->code(), StatusCode::kCancelled);
}

TEST_P(BidiTest, AThrowingCallbackEndsTheStreamWithInternal) {
  tokenizer_service_.on_decode = [](const CallContext&, DecodeStream stream) {
    stream->OnMessage([stream](const DecodeRequest&) { throw std::runtime_error("bug"); });
  };
  StartServer();
  const auto client = Decode(seen_);
  client->Write(Sequence(1));
  EXPECT_EQ(seen_->done.Wait()->code(), StatusCode::kInternal);
  EXPECT_FALSE(client->Write(Sequence(2)));
}

TEST_P(BidiTest, PausedReadingHoldsTheClientBack) {
  Promised<DecodeStream> held;
  std::atomic<int> received{0};
  tokenizer_service_.on_decode = [&](const CallContext&, DecodeStream stream) {
    stream->OnMessage([&received, stream](const DecodeRequest&) {
      ++received;
      stream->PauseReading();
    });
    stream->OnHalfClose([stream] { stream->Finish(Status::Ok()); });
    held.Set(stream);
  };
  StartServer();
  const auto client = Decode(seen_);
  for (uint64_t i = 0; i < 3; ++i) ASSERT_TRUE(client->Write(Sequence(i)));
  client->HalfClose();
  const auto stream = *held.Wait();
  for (int expected = 1; expected <= 3; ++expected) {
    ASSERT_TRUE(Eventually([&] { return received == expected; }));
    EXPECT_FALSE(seen_->done.is_set());
    stream->ResumeReading();
  }
  ASSERT_TRUE(seen_->done.Wait());
  EXPECT_EQ(received, 3);
}

TEST_P(BidiTest, AClientThatFloodsAStuckServerIsToldSo) {
  Promised<DecodeStream> held;
  tokenizer_service_.on_decode = [&](const CallContext&, DecodeStream stream) {
    stream->OnMessage([](const DecodeRequest&) {});
    stream->PauseReading();
    held.Set(stream);
  };
  StartServer();
  const auto client = Decode(seen_, {.max_queued_messages = 4, .max_queued_bytes = 1u << 30});
  DecodeRequest large;
  large.mutable_token_ids()->Resize(1 << 18, 1 << 27);
  int written = 0;
  while (client->Write(large)) ASSERT_LT(++written, 1000);
  EXPECT_EQ(seen_->done.Wait()->code(), StatusCode::kResourceExhausted);
}

TEST_P(BidiTest, AServerThatIsGoneEndsTheStreamWithUnavailable) {
  tokenizer_service_.on_decode = [](const CallContext&, DecodeStream stream) {
    stream->OnMessage([stream](const DecodeRequest& request) { stream->Write(Echo(request)); });
  };
  StartServer();
  const auto client = Decode(seen_);
  ASSERT_TRUE(client->Write(Sequence(1)));
  ASSERT_TRUE(Eventually([&] { return seen_->messages == 1; }));
  server_->Shutdown(0ms);
  local_.Close();
  EXPECT_EQ(seen_->done.Wait()->code(), StatusCode::kUnavailable);
  EXPECT_FALSE(client->Write(Sequence(2)));
}

TEST_P(BidiTest, AReaderThatPausesHoldsTheServerBack) {
  Promised<bool> writable;
  Promised<DecodeStream> held;
  tokenizer_service_.on_decode = [&](const CallContext&, DecodeStream stream) {
    stream->OnMessage([](const DecodeRequest&) {});
    stream->OnWritable([&] { writable.Set(true); });
    held.Set(stream);
  };
  StartServer();
  const auto client = Decode(seen_);
  client->PauseReading();
  const auto stream = *held.Wait();
  DecodeResponse large;
  large.set_text(std::string(1u << 20, 'x'));
  size_t written = 0;
  for (; stream->writable(); ++written) {
    ASSERT_TRUE(stream->Write(large));
    ASSERT_LT(written, 1000u);
  }
  EXPECT_FALSE(writable.is_set());
  client->ResumeReading();
  ASSERT_TRUE(writable.Wait());
  stream->Finish(Status::Ok());
  EXPECT_TRUE(seen_->done.Wait()->ok());
  EXPECT_EQ(seen_->messages, written);
}

TEST_P(BidiTest, AnErrorComesAfterWhatWasAnsweredBefore) {
  tokenizer_service_.on_decode = [](const CallContext&, DecodeStream stream) {
    stream->OnMessage([stream](const DecodeRequest& request) {
      stream->Write(Echo(request));
      if (request.sequence_id() == 3) stream->Finish(NotFound("no such token").WithRetryAfterMs(7));
    });
  };
  StartServer();
  const auto client = Decode(seen_);
  for (uint64_t id = 1; id <= 5; ++id) client->Write(Sequence(id));
  EXPECT_EQ(seen_->done.Wait(), NotFound("no such token").WithRetryAfterMs(7));
  EXPECT_EQ(seen_->ids, (std::vector<uint64_t>{1, 2, 3}));
}

TEST(LocalStreamsTest, WhatAHandlerRefusesIsTheErrorOfStart) {
  LocalStreams local;
  auto start = [&] {
    return local
        .Start<DecodeRequest, DecodeResponse>(
            {.on_message = [](DecodeResponse) { FAIL(); }, .on_done = [](Status) { FAIL(); }})
        .status();
  };
  EXPECT_EQ(start().code(), StatusCode::kUnavailable);
  local.Offer<DecodeRequest, DecodeResponse>(
      [](const CallContext&, DecodeStream stream) { stream->Finish(ResourceExhausted("full")); });
  EXPECT_EQ(start(), ResourceExhausted("full"));
  local.Offer<DecodeRequest, DecodeResponse>(
      [](const CallContext&, const DecodeStream&) { throw std::runtime_error("bug"); });
  EXPECT_EQ(start().code(), StatusCode::kInternal);
  local.Offer<DecodeRequest, DecodeResponse>([](const CallContext&, const DecodeStream&) {});
  EXPECT_EQ(start().code(), StatusCode::kInternal) << "the handle went without Finish";
}

TEST_P(BidiTest, ManyStreamsFinishAndCancelAtOnce) {
  tokenizer_service_.on_decode = [](const CallContext&, DecodeStream stream) {
    stream->OnMessage([stream](const DecodeRequest& request) { stream->Write(Echo(request)); });
  };
  StartServer();
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 20; ++i) {
        auto seen = std::make_shared<Seen>();
        auto client = Decode(seen);
        for (uint64_t id = 0; id < 10; ++id) client->Write(Sequence(id));
        if ((i + t) % 2 == 0) {
          client->HalfClose();
          const auto done = seen->done.Wait();
          ASSERT_TRUE(done && done->ok());
          EXPECT_EQ(seen->messages, 10u);
        } else {
          client->Cancel();
          ASSERT_TRUE(seen->done.Wait());
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

}  // namespace
}  // namespace conclave::platform
