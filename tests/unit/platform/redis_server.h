#pragma once

#include <string>
#include <vector>

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>

#include "tests/unit/platform/test_support.h"

extern char** environ;

namespace conclave::platform::test {

/// A real redis-server on a Unix socket of its own, ended with the object.
class RedisServer {
 public:
  RedisServer() { Start(); }
  ~RedisServer() { Stop(); }

  void Start() {
    const std::string socket = SocketPath();
    std::vector<std::string> words{
        "redis-server",          "--port",      "0", "--unixsocket", socket, "--save", "", "--dir",
        folder_.path().string(), "--daemonize", "no"};
    std::vector<char*> arguments;
    for (std::string& word : words) arguments.push_back(word.data());
    arguments.push_back(nullptr);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
    if (posix_spawnp(&process_, "redis-server", &actions, nullptr, arguments.data(), environ) != 0)
      process_ = -1;
    posix_spawn_file_actions_destroy(&actions);
  }

  void Stop() {
    if (process_ <= 0) return;
    kill(process_, SIGKILL);
    waitpid(process_, nullptr, 0);
    process_ = -1;
    std::filesystem::remove(SocketPath());
  }

  bool started() const { return process_ > 0; }
  std::string SocketPath() const { return folder_.path() / "redis.sock"; }
  std::string Address() const { return "unix:" + SocketPath(); }

 private:
  TemporaryFolder folder_;
  pid_t process_ = -1;
};

}  // namespace conclave::platform::test
