#include "platform/exchange/message_channel.h"

#include <cstring>
#include <random>
#include <thread>

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include "platform/exchange/limits.h"

namespace conclave::platform {
namespace {

using std::chrono::milliseconds;
using Side = MessageChannel::Side;
using Message = MessageChannel::Message;

constexpr size_t kRing = 4096;
constexpr size_t kMost = size_t{1} << 20;
constexpr uint64_t kToken = 77;

MessageChannel::Deadline In(milliseconds time) { return std::chrono::steady_clock::now() + time; }

/// Both ends of a channel, mapped twice as two processes would.
struct Pair {
  Pair() {
    auto region = *SharedRegion::Create(MessageChannel::RegionBytes(kRing));
    auto again = *SharedRegion::OpenFrom(getpid(), region->descriptor(), kMost);
    creator = *MessageChannel::Open(std::move(region), Side::kCreator, kToken, kMost);
    guest = *MessageChannel::Open(std::move(again), Side::kGuest, kToken, kMost);
  }
  std::unique_ptr<MessageChannel> creator, guest;
};

std::string Random(std::mt19937& random, size_t bytes) {
  std::string text(bytes, 0);
  for (char& byte : text) byte = static_cast<char>(random());
  return text;
}

TEST(SharedRegionTest, BothMapTheSameZeros) {
  const auto region = *SharedRegion::Create(5000);
  const auto again = SharedRegion::OpenFrom(getpid(), region->descriptor(), 1 << 20);
  ASSERT_TRUE(again.ok()) << again.status().ToString();
  EXPECT_EQ((*again)->size(), 8192u) << "whole pages";
  EXPECT_EQ((*again)->data()[4999], std::byte{0});
  region->CloseDescriptor();
  region->data()[4999] = std::byte{9};
  EXPECT_EQ((*again)->data()[4999], std::byte{9});
}

TEST(SharedRegionTest, WhatIsNoSealedMemoryIsRefused) {
  const auto refuse = [](int descriptor, size_t most = 1 << 20) {
    const auto region = SharedRegion::OpenFrom(getpid(), descriptor, most);
    EXPECT_FALSE(region.ok());
    return region.status().code();
  };
  EXPECT_EQ(refuse(9999), StatusCode::kUnavailable);
  const int null = open("/dev/null", O_RDWR);
  EXPECT_EQ(refuse(null), StatusCode::kInvalidArgument);
  const int unsealed = memfd_create("unsealed", MFD_ALLOW_SEALING);
  ASSERT_EQ(ftruncate(unsealed, 4096), 0);
  EXPECT_EQ(refuse(unsealed), StatusCode::kInvalidArgument);
  const auto large = *SharedRegion::Create(2 << 20);
  EXPECT_EQ(refuse(large->descriptor()), StatusCode::kInvalidArgument);
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  EXPECT_NE(refuse(ends[0]), StatusCode::kOk) << "opening must not wait for a writer either";
  EXPECT_EQ(SharedRegion::OpenFrom(1 << 30, 3, 4096).status().code(), StatusCode::kUnavailable);
  for (const int descriptor : {null, unsealed, ends[0], ends[1]}) close(descriptor);
}

TEST(MessageChannelTest, MessagesArriveInOrderWhateverTheirSize) {
  Pair pair;
  std::mt19937 random(1);
  std::vector<Message> sent;
  for (const size_t bytes : {0, 1, 100, 4000, 4087, 4088, 4089, 9000, 100'000, 3}) {
    sent.push_back({.head = Random(random, bytes / 3), .body = Random(random, bytes)});
  }
  std::thread writer([&] {
    for (const Message& message : sent) {
      EXPECT_TRUE(pair.creator->Send(message.head, message.body, In(milliseconds(60'000))).ok());
    }
  });
  Message got;
  for (const Message& message : sent) {
    ASSERT_TRUE(pair.guest->Receive(got, In(milliseconds(60'000))).ok());
    EXPECT_EQ(got.head, message.head);
    EXPECT_EQ(got.body, message.body);
  }
  writer.join();
}

TEST(MessageChannelTest, TwoWhoSendMoreThanFitsDoNotWaitForEachOther) {
  Pair pair;
  const std::string large(50'000, 'x');
  const auto talk = [&](MessageChannel& end) {
    Message got;
    EXPECT_TRUE(end.Send({}, large, In(milliseconds(60'000))).ok());
    EXPECT_TRUE(end.Receive(got, In(milliseconds(60'000))).ok());
    EXPECT_EQ(got.body, large);
  };
  std::thread guest([&] { talk(*pair.guest); });
  talk(*pair.creator);
  guest.join();
}

TEST(MessageChannelTest, AWaitEndsAtItsDeadlineAndLosesNothing) {
  Pair pair;
  Message got;
  EXPECT_EQ(pair.guest->Receive(got, In(milliseconds(20))).code(), StatusCode::kDeadlineExceeded);
  EXPECT_EQ(pair.guest->Receive(got, In(milliseconds(-1))).code(), StatusCode::kDeadlineExceeded);
  ASSERT_TRUE(pair.creator->Send("head", "body", In(milliseconds(1000))).ok());
  ASSERT_TRUE(pair.guest->Receive(got, In(milliseconds(1000))).ok());
  EXPECT_EQ(got.head + got.body, "headbody");
  EXPECT_EQ(pair.creator->Send({}, std::string(3 * kRing, 'x'), In(milliseconds(20))).code(),
            StatusCode::kDeadlineExceeded);
}

/// The other side sleeps long before the message comes.
TEST(MessageChannelTest, ASleeperIsWoken) {
  Pair pair;
  std::thread sleeper([&] {
    Message got;
    for (int i = 0; i < 5; ++i) EXPECT_TRUE(pair.guest->Receive(got, In(milliseconds(60'000))).ok());
  });
  for (int i = 0; i < 5; ++i) {
    std::this_thread::sleep_for(milliseconds(30));
    ASSERT_TRUE(pair.creator->Send("a", "b", In(milliseconds(1000))).ok());
  }
  sleeper.join();
}

TEST(MessageChannelTest, CloseEndsItsOwnSidesWaiting) {
  Pair pair;
  std::thread closer([&] {
    std::this_thread::sleep_for(milliseconds(20));
    pair.guest->Close();
  });
  Message got;
  EXPECT_EQ(pair.guest->Receive(got, MessageChannel::Deadline::max()).code(), StatusCode::kUnavailable);
  closer.join();
  EXPECT_EQ(pair.guest->Receive(got, In(milliseconds(0))).code(), StatusCode::kUnavailable);
}

TEST(MessageChannelTest, AnotherRegionIsRefused) {
  const auto open = [](size_t bytes, uint64_t token) {
    return MessageChannel::Open(*SharedRegion::Create(bytes), Side::kGuest, token, kMost).status();
  };
  EXPECT_EQ(open(MessageChannel::RegionBytes(kRing), kToken).code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(open(MessageChannel::RegionBytes(kRing), 0).code(), StatusCode::kInvalidArgument)
      << "zeros are not token 0";
  EXPECT_EQ(open(4096, kToken).code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(open(4096 * 4, kToken).code(), StatusCode::kInvalidArgument);
}

/// Whatever the other side writes into the shared counters and rings, each call ends, and the memory that is
/// read and written is the channel's.
TEST(MessageChannelTest, AHostilePeerBreaksOnlyTheChannel) {
  std::mt19937 random(5);
  for (int round = 0; round < 300; ++round) {
    Pair pair;
    ASSERT_TRUE(pair.creator->Send("head", std::string(200, 'x'), In(milliseconds(1000))).ok());
    std::byte* bytes = pair.creator->region().data();
    // Counters and bells lie in the first 512 bytes; lengths where the ring begins.
    for (int change = 0; change < 4; ++change) {
      const uint64_t value = random() % 3 == 0 ? random() % 5000 : (uint64_t{random()} << 32 | random());
      const size_t place = random() % 4 == 0 ? 4096 + 8 * (random() % 4) : 16 + 8 * (random() % 60);
      std::memcpy(bytes + place, &value, sizeof value);
    }
    Message got;
    (void)pair.guest->Receive(got, In(milliseconds(1)));
    (void)pair.guest->Send("a", std::string(random() % 9000, 'y'), In(milliseconds(1)));
    EXPECT_LE(got.bytes(), kMost);
  }
}

TEST(MessageChannelTest, ATooLargeMessageIsNotTakenIn) {
  Pair pair;
  std::thread writer(
      [&] { (void)pair.creator->Send({}, std::string(2 * kMost, 'x'), In(milliseconds(200))); });
  Message got;
  EXPECT_EQ(pair.guest->Receive(got, In(milliseconds(60'000))).code(), StatusCode::kDataLoss);
  writer.join();
}

}  // namespace
}  // namespace conclave::platform
