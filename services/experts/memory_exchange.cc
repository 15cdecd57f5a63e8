#include "services/experts/memory_exchange.h"

#include <string>
#include <utility>

#include "platform/config/address.h"
#include "platform/exchange/frame_channel.h"
#include "platform/exchange/limits.h"
#include "services/experts/limits.h"

namespace conclave::experts {
namespace {

using platform::MessageChannel;
using platform::SharedRegion;

/// Whether the peer is on this machine, so that its process number can mean anything here.
bool IsLocal(const std::string& peer) {
  return platform::IsTrustedPeer(peer) || peer.starts_with("ipv4:127.") || peer.starts_with("ipv6:%5B::1%5D");
}

Result<std::shared_ptr<MessageChannel>> Join(const v1::AttachRequest& request) {
  const auto process = static_cast<pid_t>(request.process_id());
  const auto descriptor = static_cast<int>(request.file_number());
  if (process <= 0 || descriptor < 0) return InvalidArgument("there is no such process or descriptor");
  CONCLAVE_ASSIGN_OR_RETURN(auto region, SharedRegion::OpenFrom(process, descriptor, kMostAttachedBytes));
  region->CloseDescriptor();
  CONCLAVE_ASSIGN_OR_RETURN(
      auto channel, MessageChannel::Open(std::move(region), MessageChannel::Side::kGuest, request.token(),
                                         kMostRequestBytes));
  return std::shared_ptr<MessageChannel>(std::move(channel));
}

}  // namespace

void MemoryExchange::Serve(const platform::CallContext& call, std::shared_ptr<AttachStream> stream) {
  if (!IsLocal(call.peer)) {
    return stream->Finish(PermissionDenied("memory is shared only with processes of this machine"));
  }
  auto first = std::make_shared<bool>(true);
  stream->OnMessage([this, stream, first](const v1::AttachRequest& request) {
    const Status attached = std::exchange(*first, false) ? Attach(request, stream)
                                                         : InvalidArgument("a stream attaches memory once");
    if (!attached.ok()) stream->Finish(attached);
  });
}

Status MemoryExchange::Attach(const v1::AttachRequest& request, const std::shared_ptr<AttachStream>& stream) {
  CONCLAVE_ASSIGN_OR_RETURN(const auto channel, Join(request));
  JoinDone();
  std::lock_guard lock(mutex_);
  if (closed_) return Unavailable("the shard is going down");
  if (clients_.size() >= kMostAttached) {
    return ResourceExhausted("the shard shares memory with " + std::to_string(kMostAttached) +
                             " clients already");
  }
  Client& client = clients_.emplace_back();
  client.channel = channel;
  client.thread = std::thread([this, &client, channel, stream] {
    stream->Finish(Run(*channel));
    std::lock_guard done(mutex_);
    client.done = true;
  });
  stream->OnCancel([channel] { channel->Close(); });
  stream->OnHalfClose([channel] { channel->Close(); });
  stream->Write({});
  return Status::Ok();
}

Status MemoryExchange::Run(MessageChannel& channel) {
  constexpr auto kForEver = MessageChannel::Deadline::max();
  ExchangeSession session;
  MessageChannel::Message scratch;
  v1::ExchangeRequest request;
  v1::ExchangeResponse response;
  while (true) {
    CONCLAVE_RETURN_IF_ERROR(platform::ReceiveFrame(channel, request, scratch, kForEver));
    CONCLAVE_RETURN_IF_ERROR(computer_->Answer(session, request, response));
    CONCLAVE_RETURN_IF_ERROR(platform::SendFrame(channel, response, kForEver));
  }
}

void MemoryExchange::JoinDone() {
  std::list<Client> done;
  {
    std::lock_guard lock(mutex_);
    for (auto client = clients_.begin(); client != clients_.end();) {
      const auto next = std::next(client);
      if (client->done) done.splice(done.end(), clients_, client);
      client = next;
    }
  }
  for (Client& client : done) client.thread.join();
}

void MemoryExchange::Close() {
  {
    std::lock_guard lock(mutex_);
    closed_ = true;
    for (Client& client : clients_) client.channel->Close();
  }
  // No client is added any more, and each thread takes the lock once more.
  for (Client& client : clients_) client.thread.join();
  clients_.clear();
}

}  // namespace conclave::experts
