#include "platform/rpc/channels.h"

#include <chrono>
#include <cstring>

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "platform/rpc/limits.h"
#include "tests/support/temporary_folder.h"

namespace conclave::platform {
namespace {

/// A Unix socket whose connections are accepted by the kernel, and never answered.
class SilentPeer {
 public:
  explicit SilentPeer(const std::string& path) {
    sockaddr_un address{.sun_family = AF_UNIX};
    std::strncpy(address.sun_path, path.c_str(), sizeof(address.sun_path) - 1);
    listening_ = bind(socket_, reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0 &&
                 listen(socket_, 8) == 0;
  }
  ~SilentPeer() { close(socket_); }
  bool listening() const { return listening_; }

 private:
  const int socket_ = socket(AF_UNIX, SOCK_STREAM, 0);
  bool listening_ = false;
};

/// An attempt was given up after 100 ms, so that no distant server could be reached by a first attempt.
TEST(ChannelsTest, SlowPeerHasTimeForItsHandshake) {
  const conclave::testing::TemporaryFolder folder;
  const std::string path = folder.path() + "/socket";
  const SilentPeer peer(path);
  ASSERT_TRUE(peer.listening());
  const auto channel = OpenChannel("unix:" + path, {}, kDefaultMaxMessageBytes);
  ASSERT_TRUE(channel.ok()) << channel.status().ToString();
  const auto now = std::chrono::system_clock::now();
  (*channel)->GetState(/*try_to_connect=*/true);
  ASSERT_TRUE((*channel)->WaitForStateChange(GRPC_CHANNEL_IDLE, now + std::chrono::seconds(60)));
  EXPECT_FALSE((*channel)->WaitForStateChange(GRPC_CHANNEL_CONNECTING, now + std::chrono::milliseconds(500)))
      << "it gave up already";
}

}  // namespace
}  // namespace conclave::platform
