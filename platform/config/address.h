#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace conclave::platform {

/// The longest path a Unix socket may have: sockaddr_un's room, less the final zero.
inline constexpr size_t kMaxUnixPathBytes = 107;

/// Where a server listens or is found.
struct Address {
  enum class Kind { kInProcess, kUnix, kTcp };

  Kind kind = Kind::kTcp;
  /// A process's name, a path, or a host (an IPv6 host without its brackets).
  std::string name;
  /// For kTcp; 0: any free one, when listening.
  uint16_t port = 0;

  /// In the form that ParseAddress reads: "inproc:NAME", "unix:PATH", "HOST:PORT", "[IPV6]:PORT".
  std::string ToString() const;
};

/// Reads "inproc:NAME", "unix:PATH", "HOST:PORT", "[IPV6]:PORT" or "dns:///HOST:PORT".
/// INVALID_ARGUMENT says which part is wrong.
Result<Address> ParseAddress(std::string_view text);

/// Whether a host is this machine and no other can reach it: localhost, 127.0.0.0/8, ::1.
bool IsLoopbackHost(std::string_view host);

}  // namespace conclave::platform
