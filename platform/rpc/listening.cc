#include "platform/rpc/listening.h"

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <memory>
#include <string>
#include <system_error>

#include <netdb.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

namespace conclave::platform {
namespace {

class Socket {
 public:
  Socket(int family, int type) : descriptor_(socket(family, type | SOCK_CLOEXEC, 0)) {}
  ~Socket() {
    if (descriptor_ >= 0) close(descriptor_);
  }
  Socket(const Socket&) = delete;
  int get() const { return descriptor_; }

 private:
  int descriptor_;
};

Status CannotListen(const Address& address, int error) {
  std::string advice;
  if (error == EADDRINUSE) advice = "; another program uses it: stop that one, or choose another address";
  if (error == EADDRNOTAVAIL) advice = "; no interface of this machine has that address";
  if (error == EACCES) advice = "; this user may not: choose a port above 1023";
  return FailedPrecondition("cannot listen on " + address.ToString() + ": " + std::strerror(error) + advice);
}

bool SomebodyListens(const std::string& path) {
  sockaddr_un target{};
  target.sun_family = AF_UNIX;
  std::memcpy(target.sun_path, path.data(), path.size());
  const Socket probe(AF_UNIX, SOCK_STREAM);
  return probe.get() >= 0 && connect(probe.get(), reinterpret_cast<sockaddr*>(&target), sizeof target) == 0;
}

Status PrepareUnixSocket(const Address& address) {
  namespace fs = std::filesystem;
  std::error_code error;
  const fs::path path(address.name);
  if (path.has_parent_path() && !fs::exists(path.parent_path(), error)) {
    fs::create_directories(path.parent_path(), error);
    if (!error) fs::permissions(path.parent_path(), fs::perms::owner_all, error);
    if (error)
      return FailedPrecondition("cannot make " + path.parent_path().string() + ": " + error.message());
  }
  const fs::file_status found = fs::symlink_status(path, error);
  if (found.type() == fs::file_type::not_found) return Status::Ok();
  if (found.type() != fs::file_type::socket) {
    return FailedPrecondition("cannot listen on " + address.ToString() +
                              ": there is something else; remove it first");
  }
  if (SomebodyListens(address.name)) return CannotListen(address, EADDRINUSE);
  fs::remove(path, error);
  return error ? FailedPrecondition("cannot remove the dead socket " + path.string() + ": " + error.message())
               : Status::Ok();
}

}  // namespace

Status PrepareToListen(const Address& address) {
  return address.kind == Address::Kind::kUnix ? PrepareUnixSocket(address) : Status::Ok();
}

Status WhyNotListen(const Address& address) {
  if (address.kind != Address::Kind::kTcp) return CannotListen(address, EACCES);
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE;
  addrinfo* raw = nullptr;
  const int failure = getaddrinfo(address.name.c_str(), std::to_string(address.port).c_str(), &hints, &raw);
  const std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> found(raw, &freeaddrinfo);
  if (failure != 0) {
    return FailedPrecondition("cannot listen on " + address.ToString() + ": " + gai_strerror(failure));
  }
  const Socket probe(found->ai_family, SOCK_STREAM);
  const int reuse = 1;
  setsockopt(probe.get(), SOL_SOCKET, SO_REUSEADDR, &reuse, sizeof reuse);
  if (bind(probe.get(), found->ai_addr, found->ai_addrlen) != 0) return CannotListen(address, errno);
  return listen(probe.get(), 1) != 0 ? CannotListen(address, errno) : Status::Ok();
}

}  // namespace conclave::platform
