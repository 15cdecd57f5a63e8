#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"
#include "platform/exchange/patience.h"
#include "platform/exchange/shared_region.h"

namespace conclave::platform {

/// Messages in both directions between two processes that share a region: a ring of bytes each way, each
/// message behind its lengths. A waiting side watches the ring for as long as its last waits suggest, then
/// sleeps on a futex. The other side may be hostile: what it writes is checked, and read once.
///
/// One thread uses an end of a channel; Close may come from any.
class MessageChannel {
 public:
  using Deadline = std::chrono::steady_clock::time_point;
  /// What is said about numbers, and the numbers: apart, so that the many bytes need not be packed.
  struct Message {
    std::string head;
    std::string body;
    size_t bytes() const { return head.size() + body.size(); }
  };
  /// Who created the region, and who joined it.
  enum class Side { kCreator = 0, kGuest = 1 };

  /// The region of a channel whose rings have `ring_bytes` each (a power of two of at least 4,096).
  static size_t RegionBytes(size_t ring_bytes);

  /// `token` is how a guest knows that the region is the one that was meant: a random number that both sides
  /// name. Errors: INVALID_ARGUMENT (a region of another size than RegionBytes gives, or with another token).
  static Result<std::unique_ptr<MessageChannel>> Open(std::unique_ptr<SharedRegion> region, Side side,
                                                      uint64_t token, size_t most_message_bytes);

  SharedRegion& region() { return *region_; }

  /// Writes a message; waits for room where the ring is full, and takes in what the other side sends
  /// meanwhile, so that two who send at once do not wait for each other for ever. Errors: DEADLINE_EXCEEDED,
  /// UNAVAILABLE (closed here), DATA_LOSS (the other side broke the ring). After any, the channel is of no
  /// more use.
  Status Send(std::string_view head, std::string_view body, Deadline deadline);

  /// The next message, in the order in which they were sent; its strings' room is used again. Errors:
  /// DEADLINE_EXCEEDED (nothing is lost: ask again), UNAVAILABLE (closed here), DATA_LOSS (the other side
  /// broke the ring).
  Status Receive(Message& message, Deadline deadline);

  /// Ends this side's waiting, now and later. The other side hears nothing: it watches the connection over
  /// which the region was agreed.
  void Close();

 private:
  struct Layout;
  struct Ring;

  MessageChannel(std::unique_ptr<SharedRegion> region, Side side, size_t most_message_bytes);

  /// Copies as much as there is room for; the rest stays.
  Status WriteSome(std::string_view& rest);
  /// Takes in all that has come. Errors: DATA_LOSS.
  Status ReadAll();
  /// Takes in what has come of a part that has `size` bytes. False: there is more to come.
  bool Fill(uint64_t written, size_t size, std::string& part);
  /// Takes in what has come of the next message. False: there is more to come. Errors: DATA_LOSS.
  Result<bool> ReadMessage(uint64_t written);
  /// What a waiting side wants to hear of.
  enum class Wanted : uint32_t { kNothing = 0, kMessages = 1, kMessagesOrRoom = 2 };
  /// False: the deadline came.
  bool Wait(Wanted wanted, Deadline deadline);
  bool Sleep(Wanted wanted, Deadline deadline);
  bool News(Wanted wanted) const;
  /// Wakes the other side where it sleeps and wants `what` or more.
  void RingPeer(Wanted what);

  std::unique_ptr<SharedRegion> region_;
  Layout* layout_;
  Ring* in_;
  Ring* out_;
  std::byte* in_bytes_;
  std::byte* out_bytes_;
  const size_t ring_bytes_;
  const int own_;  ///< index of this side's bell
  const size_t most_message_bytes_;
  std::atomic<bool> closed_ = false;

  // What this side knows by itself; the shared counters are only believed where they fit.
  uint64_t read_ = 0;       ///< of `in`
  uint64_t written_ = 0;    ///< of `out`
  uint64_t seen_read_ = 0;  ///< how far the other side had read `out`
  std::string lengths_;     ///< the bytes of the coming message's lengths that are here
  Message incoming_;        ///< and of the message itself
  Message spare_;           ///< room for the next but one
  std::deque<Message> ready_;
  size_t ready_bytes_ = 0;
  Patience patience_;
};

}  // namespace conclave::platform
