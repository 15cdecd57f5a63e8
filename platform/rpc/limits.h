#pragma once

#include <cstddef>
#include <cstdint>

namespace conclave::platform {

/// The largest message a server or client accepts, unless configured otherwise.
inline constexpr size_t kDefaultMaxMessageBytes = 64u << 20;
/// What a stream may hold that its peer has not taken yet, unless its owner chooses otherwise.
inline constexpr size_t kDefaultQueuedMessages = 1024;
inline constexpr size_t kDefaultQueuedBytes = 64u << 20;
/// A status message travels in a header, which peers bound at 8 KiB with everything else in it.
inline constexpr size_t kMaxStatusMessageBytes = 2048;
inline constexpr size_t kMaxRequestIdBytes = 128;
inline constexpr size_t kMaxTenantBytes = 64;
/// A peer that is silent for this long is asked whether it lives, and is gone when it does not answer in
/// time.
inline constexpr int kKeepaliveMs = 20'000;
inline constexpr int kKeepaliveTimeoutMs = 10'000;
/// A peer has this long for a connection's handshakes, and is tried again after these, growing, delays.
inline constexpr int kConnectTimeoutMs = 10'000;
inline constexpr int kFirstReconnectMs = 100;
inline constexpr int kLastReconnectMs = 5000;
/// Calls at once on one connection; more wait at the client.
inline constexpr int kMaxCallsPerConnection = 1024;
/// What a refused caller is told to wait when nobody knows better, in milliseconds.
inline constexpr int64_t kDrainRetryMs = 1000;
inline constexpr int64_t kBusyRetryMs = 1000;

static_assert(kMaxStatusMessageBytes + kMaxRequestIdBytes + kMaxTenantBytes < 8192 / 2);

}  // namespace conclave::platform
