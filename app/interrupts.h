#pragma once

#include <functional>
#include <memory>

namespace conclave::app {

/// Ctrl-C as a call instead of an end: while it lives, SIGINT interrupts a blocking read of the main thread
/// and runs the current action on a thread of its own. Make it first thing in the main thread, before other
/// threads start (they leave the signal to the main thread); one at a time.
class Interrupts {
 public:
  Interrupts();
  ~Interrupts();
  Interrupts(const Interrupts&) = delete;

  /// What the next Ctrl-C does; an empty function does nothing.
  void SetAction(std::function<void()> action);

  /// Lets this thread take the signal (call it when the other threads run).
  void Listen();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace conclave::app
