#include "platform/config/address.h"

#include <charconv>

#include <arpa/inet.h>

namespace conclave::platform {
namespace {

constexpr std::string_view kForms = "expected HOST:PORT or unix:PATH";

Status BadAddress(std::string_view text, std::string_view reason) {
  return InvalidArgument("address \"" + std::string(text) + "\": " + std::string(reason));
}

Result<Address> ParseUnix(std::string_view text, std::string_view path) {
  if (path.empty()) return BadAddress(text, "the socket's path is missing");
  if (path.size() > kMaxUnixPathBytes) {
    return BadAddress(text, "the path is longer than the " + std::to_string(kMaxUnixPathBytes) +
                                " bytes that a socket may have; choose a shorter folder");
  }
  if (path.find('\0') != std::string_view::npos) return BadAddress(text, "the path holds a zero byte");
  return Address{Address::Kind::kUnix, std::string(path), 0};
}

Result<Address> ParseTcp(std::string_view text, std::string_view rest) {
  const size_t colon = rest.rfind(':');
  if (colon == std::string_view::npos) return BadAddress(text, kForms);
  std::string_view host = rest.substr(0, colon);
  const std::string_view digits = rest.substr(colon + 1);
  if (host.starts_with('[') && host.ends_with(']')) {
    host = host.substr(1, host.size() - 2);
  } else if (host.find(':') != std::string_view::npos) {
    return BadAddress(text, "an IPv6 host needs brackets: [HOST]:PORT");
  }
  if (host.empty()) return BadAddress(text, "the host is missing; 0.0.0.0 means every interface");
  if (host.find_first_of(" \t\r\n/") != std::string_view::npos) return BadAddress(text, kForms);
  uint32_t port = 0;
  const auto [stop, error] = std::from_chars(digits.data(), digits.data() + digits.size(), port);
  if (error != std::errc() || stop != digits.data() + digits.size() || port > 65535) {
    return BadAddress(text, "the port must be a number from 0 to 65535");
  }
  return Address{Address::Kind::kTcp, std::string(host), static_cast<uint16_t>(port)};
}

}  // namespace

std::string Address::ToString() const {
  switch (kind) {
    case Kind::kInProcess: return "inproc:" + name;
    case Kind::kUnix: return "unix:" + name;
    case Kind::kTcp: break;
  }
  const bool is_ipv6 = name.find(':') != std::string::npos;
  return (is_ipv6 ? "[" + name + "]" : name) + ":" + std::to_string(port);
}

Result<Address> ParseAddress(std::string_view text) {
  if (text.starts_with("inproc:")) {
    const std::string_view name = text.substr(7);
    if (name.empty()) return BadAddress(text, "the name is missing");
    return Address{Address::Kind::kInProcess, std::string(name), 0};
  }
  if (text.starts_with("unix:")) return ParseUnix(text, text.substr(5));
  if (text.starts_with("dns:///")) return ParseTcp(text, text.substr(7));
  return ParseTcp(text, text);
}

bool IsLoopbackHost(std::string_view host) {
  if (host == "localhost" || host == "::1") return true;
  in_addr address{};
  return inet_pton(AF_INET, std::string(host).c_str(), &address) == 1 && (ntohl(address.s_addr) >> 24) == 127;
}

}  // namespace conclave::platform
