#include "app/thread_room.h"

#include <exception>
#include <latch>
#include <string>
#include <thread>
#include <vector>

namespace conclave::app {

Status CheckThreadRoom(int count) {
  std::latch counted(1);
  std::vector<std::thread> threads;
  Status status;
  try {
    threads.reserve(static_cast<size_t>(count));
    while (threads.size() < static_cast<size_t>(count)) threads.emplace_back([&] { counted.wait(); });
  } catch (const std::exception& error) {
    status = ResourceExhausted("the system gives this process " + std::to_string(threads.size()) +
                               " more threads, and it needs " + std::to_string(count) + " (" + error.what() +
                               "); raise the limits on processes and memory (ulimit -u, ulimit -v)");
  }
  counted.count_down();
  for (std::thread& thread : threads) thread.join();
  return status;
}

}  // namespace conclave::app
