#include "platform/rpc/local_streams.h"

#include "platform/identity.h"

namespace conclave::platform {

CallContext LocalStreams::LocalCall() {
  CallContext call;
  call.request_id = RandomId();
  call.peer = "inproc";
  return call;
}

Result<std::any> LocalStreams::Register(const std::string& request,
                                        std::weak_ptr<detail::LocalStreamBase> stream) {
  std::lock_guard lock(mutex_);
  const auto found = handlers_.find(request);
  if (found == handlers_.end()) return Unavailable("nobody in this process takes " + request);
  std::erase_if(open_, [](const auto& entry) { return entry.expired(); });
  open_.push_back(std::move(stream));
  return found->second;
}

void LocalStreams::Close() {
  std::vector<std::weak_ptr<detail::LocalStreamBase>> open;
  {
    std::lock_guard lock(mutex_);
    handlers_.clear();
    open.swap(open_);
  }
  for (const auto& entry : open) {
    if (const auto stream = entry.lock()) stream->Close(Unavailable("the service is shutting down"));
  }
}

}  // namespace conclave::platform
