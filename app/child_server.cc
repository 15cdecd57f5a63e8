#include "app/child_server.h"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstring>
#include <thread>

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

namespace conclave::app {
namespace {

constexpr auto kEndTimeout = std::chrono::seconds(10);
constexpr auto kPoll = std::chrono::milliseconds(10);

}  // namespace

Result<std::unique_ptr<ChildServer>> ChildServer::Start(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), "conclave");
  std::vector<char*> pointers;
  for (std::string& argument : arguments) pointers.push_back(argument.data());
  pointers.push_back(nullptr);
  int output[2] = {-1, -1};
  if (pipe2(output, O_CLOEXEC) != 0)
    return Internal("cannot start a server: " + std::string(std::strerror(errno)));
  posix_spawn_file_actions_t files;
  posix_spawn_file_actions_init(&files);
  for (const int fd : {STDIN_FILENO, STDERR_FILENO}) {
    posix_spawn_file_actions_addopen(&files, fd, "/dev/null", O_RDWR, 0);
  }
  posix_spawn_file_actions_adddup2(&files, output[1], STDOUT_FILENO);
  pid_t pid = -1;
  const int failed = posix_spawn(&pid, "/proc/self/exe", &files, nullptr, pointers.data(), environ);
  posix_spawn_file_actions_destroy(&files);
  close(output[1]);
  if (failed != 0) {
    close(output[0]);
    return Internal("cannot start a server: " + std::string(std::strerror(failed)));
  }
  return std::unique_ptr<ChildServer>(new ChildServer(pid, output[0]));
}

Result<std::string> ChildServer::WaitForLine(std::chrono::milliseconds timeout) {
  const auto deadline = std::chrono::steady_clock::now() + timeout;
  std::string line;
  while (line.empty() || line.back() != '\n') {
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
    pollfd readable{.fd = output_, .events = POLLIN, .revents = 0};
    const int ready = poll(&readable, 1, static_cast<int>(std::max<int64_t>(left.count(), 0)));
    if (ready < 0 && errno == EINTR) continue;
    if (ready == 0) return DeadlineExceeded("the server did not become ready in time");
    char bytes[4096];
    const ssize_t count = read(output_, bytes, sizeof bytes);
    if (count <= 0) return Internal("the server could not start; `conclave serve` says why");
    line.append(bytes, static_cast<size_t>(count));
  }
  return line;
}

Result<nlohmann::json> ChildServer::WaitUntilReady(std::chrono::milliseconds timeout) {
  CONCLAVE_ASSIGN_OR_RETURN(const std::string line, WaitForLine(timeout));
  nlohmann::json ready = nlohmann::json::parse(line, nullptr, false);
  const bool says = ready.is_object() && ready.contains("addresses") && !ready["addresses"].empty();
  if (!says) return Internal("the server did not say where it listens");
  return ready;
}

bool ChildServer::running() {
  if (!ended_) ended_ = waitpid(pid_, nullptr, WNOHANG) != 0;
  return !ended_;
}

ChildServer::~ChildServer() {
  close(output_);
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
