#pragma once

#include <chrono>
#include <condition_variable>
#include <filesystem>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>

#include <stdlib.h>

namespace conclave::platform::test {

inline constexpr std::chrono::seconds kPatience{30};

/// A folder that is removed with its contents at the end of the test. Its path is short enough for sockets.
class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string pattern = "/tmp/conclave-test-XXXXXX";
    path_ = mkdtemp(pattern.data());
  }
  ~TemporaryFolder() {
    std::error_code error;
    std::filesystem::remove_all(path_, error);
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

/// Waits until the condition holds; false when it never does.
inline bool Eventually(const std::function<bool()>& condition) {
  const auto deadline = std::chrono::steady_clock::now() + kPatience;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  return true;
}

/// A value that one thread sets and another waits for.
template <typename Value>
class Promised {
 public:
  void Set(Value value) {
    std::lock_guard lock(mutex_);
    if (!value_) value_ = std::move(value);
    changed_.notify_all();
  }
  /// Nothing when it never came.
  std::optional<Value> Wait() {
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, kPatience, [&] { return value_.has_value(); });
    return value_;
  }
  bool is_set() {
    std::lock_guard lock(mutex_);
    return value_.has_value();
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::optional<Value> value_;
};

}  // namespace conclave::platform::test
