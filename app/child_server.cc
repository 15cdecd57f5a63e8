#include "app/child_server.h"

#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstring>
#include <thread>

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

namespace conclave::app {
namespace {

constexpr auto kEndTimeout = std::chrono::seconds(10);
constexpr auto kPoll = std::chrono::milliseconds(10);

}  // namespace

Result<std::unique_ptr<ChildServer>> ChildServer::Start(const std::filesystem::path& config,
                                                        const std::string& name) {
  std::string path = config.string();
  std::string only = name;
  char program[] = "/proc/self/exe";
  char serve[] = "serve", config_flag[] = "--config", only_flag[] = "--only";
  char* arguments[] = {program, serve, config_flag, path.data(), only_flag, only.data(), nullptr};
  posix_spawn_file_actions_t files;
  posix_spawn_file_actions_init(&files);
  for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    posix_spawn_file_actions_addopen(&files, fd, "/dev/null", O_RDWR, 0);
  }
  pid_t pid = -1;
  const int failed = posix_spawn(&pid, program, &files, nullptr, arguments, environ);
  posix_spawn_file_actions_destroy(&files);
  if (failed != 0) return Internal("cannot start the process " + name + ": " + std::strerror(failed));
  return std::unique_ptr<ChildServer>(new ChildServer(pid));
}

bool ChildServer::running() {
  if (!ended_) ended_ = waitpid(pid_, nullptr, WNOHANG) != 0;
  return !ended_;
}

ChildServer::~ChildServer() {
  if (!running()) return;
  kill(pid_, SIGTERM);
  const auto deadline = std::chrono::steady_clock::now() + kEndTimeout;
  while (running()) {
    if (std::chrono::steady_clock::now() > deadline) {
      kill(pid_, SIGKILL);
      waitpid(pid_, nullptr, 0);
      return;
    }
    std::this_thread::sleep_for(kPoll);
  }
}

}  // namespace conclave::app
