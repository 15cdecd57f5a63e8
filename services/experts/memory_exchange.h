#pragma once

#include <list>
#include <memory>
#include <mutex>
#include <thread>

#include "conclave/v1/experts.pb.h"
#include "platform/exchange/message_channel.h"
#include "platform/rpc/call_context.h"
#include "platform/rpc/server_call.h"
#include "services/experts/frame_computer.h"

namespace conclave::experts {

using AttachStream = platform::BidiServerStream<v1::AttachRequest, v1::AttachResponse>;

/// The clients that exchange frames with this shard through memory: each has a thread here, which waits for
/// frames and computes them. Any thread may call.
class MemoryExchange {
 public:
  explicit MemoryExchange(std::shared_ptr<FrameComputer> computer) : computer_(std::move(computer)) {}
  ~MemoryExchange() { Close(); }
  MemoryExchange(const MemoryExchange&) = delete;

  /// Serves a caller until its stream ends, or ends the stream with the reason why it cannot.
  void Serve(const platform::CallContext& call, std::shared_ptr<AttachStream> stream);

  /// Ends all; when it returns, nothing is computed any more.
  void Close();

 private:
  struct Client {
    std::shared_ptr<platform::MessageChannel> channel;
    std::thread thread;
    bool done = false;  // guarded by mutex_
  };

  Status Attach(const v1::AttachRequest& request, const std::shared_ptr<AttachStream>& stream);
  Status Run(platform::MessageChannel& channel);
  void JoinDone();

  const std::shared_ptr<FrameComputer> computer_;
  std::mutex mutex_;
  std::list<Client> clients_;  // guarded by mutex_
  bool closed_ = false;        // guarded by mutex_
};

}  // namespace conclave::experts
