#include "platform/exchange/message_channel.h"

#include <algorithm>
#include <bit>
#include <climits>
#include <cstring>
#include <ctime>
#include <new>
#include <utility>

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "platform/exchange/limits.h"

namespace conclave::platform {
namespace {

using std::chrono::steady_clock;

constexpr size_t kLine = 64;
constexpr size_t kHeaderBytes = 4096;
constexpr size_t kLengthsBytes = 2 * sizeof(uint32_t);
constexpr uint64_t kChannelKind = 0x31676e69726c6363;  // "cclring1"

/// A sleeper looks again after this long even where nobody rings.
constexpr std::chrono::milliseconds kLongestSleep{100};

struct Bell {
  alignas(kLine) std::atomic<uint32_t> rings;
  std::atomic<uint32_t> asleep;
};
static_assert(std::atomic<uint32_t>::is_always_lock_free && std::atomic<uint64_t>::is_always_lock_free);

void FutexWait(std::atomic<uint32_t>& word, uint32_t seen, std::chrono::nanoseconds timeout) {
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(timeout);
  const timespec wait{.tv_sec = seconds.count(), .tv_nsec = (timeout - seconds).count()};
  syscall(SYS_futex, reinterpret_cast<uint32_t*>(&word), FUTEX_WAIT, seen, &wait, nullptr, 0);
}

void FutexWake(std::atomic<uint32_t>& word) {
  syscall(SYS_futex, reinterpret_cast<uint32_t*>(&word), FUTEX_WAKE, INT_MAX, nullptr, nullptr, 0);
}

}  // namespace

struct MessageChannel::Ring {
  alignas(kLine) std::atomic<uint64_t> written;
  alignas(kLine) std::atomic<uint64_t> read;
};

struct MessageChannel::Layout {
  std::atomic<uint64_t> kind;  ///< kChannelKind: memory of another purpose is refused
  std::atomic<uint64_t> token;
  Bell bells[2];
  Ring rings[2];  ///< by who writes
};

size_t MessageChannel::RegionBytes(size_t ring_bytes) { return kHeaderBytes + 2 * ring_bytes; }

Result<std::unique_ptr<MessageChannel>> MessageChannel::Open(std::unique_ptr<SharedRegion> region, Side side,
                                                             uint64_t token, size_t most_message_bytes) {
  static_assert(sizeof(Layout) <= kHeaderBytes);
  const size_t ring_bytes = region->size() < kHeaderBytes ? 0 : (region->size() - kHeaderBytes) / 2;
  if (!std::has_single_bit(ring_bytes) || RegionBytes(ring_bytes) != region->size()) {
    return InvalidArgument("shared memory of " + std::to_string(region->size()) + " bytes holds no rings");
  }
  std::unique_ptr<MessageChannel> channel(new MessageChannel(std::move(region), side, most_message_bytes));
  if (side == Side::kCreator) {
    channel->layout_->kind = kChannelKind;
    channel->layout_->token = token;
  } else if (channel->layout_->kind != kChannelKind || channel->layout_->token != token) {
    return InvalidArgument("the shared memory is not the one that was meant");
  }
  return channel;
}

MessageChannel::MessageChannel(std::unique_ptr<SharedRegion> region, Side side, size_t most_message_bytes)
    : region_(std::move(region)),
      layout_(reinterpret_cast<Layout*>(region_->data())),
      ring_bytes_((region_->size() - kHeaderBytes) / 2),
      own_(static_cast<int>(side)),
      most_message_bytes_(most_message_bytes) {
  const int other = 1 - own_;
  in_ = &layout_->rings[other];
  out_ = &layout_->rings[own_];
  in_bytes_ = region_->data() + kHeaderBytes + other * ring_bytes_;
  out_bytes_ = region_->data() + kHeaderBytes + own_ * ring_bytes_;
}

void MessageChannel::RingPeer(Wanted what) {
  Bell& bell = layout_->bells[1 - own_];
  // Sequentially consistent, as the counters' stores and Wait's loads: either the sleeper sees the new
  // counter, or this sees the sleeper.
  if (bell.asleep.load(std::memory_order_seq_cst) < static_cast<uint32_t>(what)) return;
  bell.rings.fetch_add(1, std::memory_order_seq_cst);
  FutexWake(bell.rings);
}

bool MessageChannel::News(Wanted wanted) const {
  return in_->written.load(std::memory_order_seq_cst) != read_ || closed_.load(std::memory_order_seq_cst) ||
         (wanted == Wanted::kMessagesOrRoom && out_->read.load(std::memory_order_seq_cst) != seen_read_);
}

bool MessageChannel::Wait(Wanted wanted, Deadline deadline) {
  patience_.Begin();
  const bool heard = patience_.Watch([&] { return News(wanted); }) || Sleep(wanted, deadline);
  patience_.End();
  return heard;
}

bool MessageChannel::Sleep(Wanted wanted, Deadline deadline) {
  Bell& bell = layout_->bells[own_];
  while (true) {
    bell.asleep.store(static_cast<uint32_t>(wanted), std::memory_order_seq_cst);
    const uint32_t seen = bell.rings.load(std::memory_order_seq_cst);
    const auto now = steady_clock::now();
    if (!News(wanted) && now < deadline) {
      FutexWait(bell.rings, seen, std::min<std::chrono::nanoseconds>(kLongestSleep, deadline - now));
    }
    bell.asleep.store(0, std::memory_order_seq_cst);
    if (News(wanted)) return true;
    if (steady_clock::now() >= deadline) return false;
  }
}

Status MessageChannel::WriteSome(std::string_view& rest) {
  seen_read_ = out_->read.load(std::memory_order_acquire);
  const uint64_t filled = written_ - seen_read_;
  if (filled > ring_bytes_) return DataLoss("the other side broke the shared ring");
  const size_t count = std::min<size_t>(rest.size(), ring_bytes_ - filled);
  if (count == 0) return Status::Ok();
  const size_t at = written_ & (ring_bytes_ - 1);
  const size_t first = std::min(count, ring_bytes_ - at);
  std::memcpy(out_bytes_ + at, rest.data(), first);
  std::memcpy(out_bytes_, rest.data() + first, count - first);
  written_ += count;
  rest.remove_prefix(count);
  return Status::Ok();
}

Status MessageChannel::Send(std::string_view head, std::string_view body, Deadline deadline) {
  const uint32_t sizes[] = {static_cast<uint32_t>(head.size()), static_cast<uint32_t>(body.size())};
  char lengths[kLengthsBytes];
  std::memcpy(lengths, sizes, kLengthsBytes);
  std::string_view parts[] = {{lengths, kLengthsBytes}, head, body};
  const auto left = [&] { return parts[0].size() + parts[1].size() + parts[2].size(); };
  while (left() > 0) {
    const uint64_t before = written_;
    for (std::string_view& part : parts) {
      CONCLAVE_RETURN_IF_ERROR(WriteSome(part));
      if (!part.empty()) break;
    }
    if (written_ != before) {
      out_->written.store(written_, std::memory_order_seq_cst);
      RingPeer(Wanted::kMessages);
      continue;
    }
    if (closed_) return Unavailable("the channel was closed");
    CONCLAVE_RETURN_IF_ERROR(ReadAll());
    if (!Wait(Wanted::kMessagesOrRoom, deadline)) return DeadlineExceeded("the other side takes nothing in");
  }
  return Status::Ok();
}

bool MessageChannel::Fill(uint64_t written, size_t size, std::string& part) {
  const size_t count = std::min<size_t>(written - read_, size - part.size());
  const size_t at = read_ & (ring_bytes_ - 1);
  const size_t first = std::min(count, ring_bytes_ - at);
  part.append(reinterpret_cast<const char*>(in_bytes_ + at), first);
  part.append(reinterpret_cast<const char*>(in_bytes_), count - first);
  read_ += count;
  return part.size() == size;
}

Result<bool> MessageChannel::ReadMessage(uint64_t written) {
  if (!Fill(written, kLengthsBytes, lengths_)) return false;
  uint32_t sizes[2];
  std::memcpy(sizes, lengths_.data(), kLengthsBytes);
  const size_t bytes = size_t{sizes[0]} + sizes[1];
  if (bytes > most_message_bytes_) {
    return DataLoss("a message of " + std::to_string(bytes) + " bytes came; at most " +
                    std::to_string(most_message_bytes_) + " are allowed");
  }
  return Fill(written, sizes[0], incoming_.head) && Fill(written, sizes[1], incoming_.body);
}

Status MessageChannel::ReadAll() {
  const uint64_t written = in_->written.load(std::memory_order_acquire);
  if (written - read_ > ring_bytes_) return DataLoss("the other side broke the shared ring");
  if (written == read_) return Status::Ok();
  while (read_ != written) {
    CONCLAVE_ASSIGN_OR_RETURN(const bool complete, ReadMessage(written));
    if (!complete) break;
    ready_bytes_ += incoming_.bytes();
    if (ready_.size() == kMostReadyMessages || ready_bytes_ > 2 * most_message_bytes_) {
      return DataLoss("more messages came at once than were asked for");
    }
    ready_.push_back(std::exchange(incoming_, std::exchange(spare_, {})));
    lengths_.clear();
  }
  in_->read.store(read_, std::memory_order_seq_cst);
  RingPeer(Wanted::kMessagesOrRoom);
  return Status::Ok();
}

Status MessageChannel::Receive(Message& message, Deadline deadline) {
  // The caller's strings have room already: the next message but one will be read into them.
  spare_ = std::move(message);
  spare_.head.clear();
  spare_.body.clear();
  while (true) {
    if (ready_.empty()) CONCLAVE_RETURN_IF_ERROR(ReadAll());
    if (!ready_.empty()) {
      message = std::move(ready_.front());
      ready_.pop_front();
      ready_bytes_ -= message.bytes();
      return Status::Ok();
    }
    if (closed_) return Unavailable("the channel was closed");
    if (!Wait(Wanted::kMessages, deadline)) return DeadlineExceeded("nothing came in time");
  }
}

void MessageChannel::Close() {
  closed_.store(true, std::memory_order_seq_cst);
  Bell& bell = layout_->bells[own_];
  bell.rings.fetch_add(1, std::memory_order_seq_cst);
  FutexWake(bell.rings);
}

}  // namespace conclave::platform
