#pragma once

#include <memory>
#include <optional>
#include <string>

namespace conclave::app {

/// Reads lines from a terminal with editing and history (libedit), or plain ones from a pipe.
class LineEditor {
 public:
  /// `history_file` is read now and written with every line; failures to do so are ignored. On a terminal the
  /// process's LC_CTYPE becomes a UTF-8 locale.
  LineEditor(const std::string& prompt, const std::string& history_file);
  ~LineEditor();
  LineEditor(const LineEditor&) = delete;

  enum class Event { kLine, kInterrupted, kEnd };
  struct Input {
    Event event = Event::kEnd;
    std::string line;
  };

  /// The next line without its end; kInterrupted for Ctrl-C, kEnd for Ctrl-D or the end of the pipe. Lines
  /// that are pasted into a terminal together are one, unless the first begins with '/' or something was
  /// typed ahead.
  Input Read();

 private:
  Input ReadLine();

  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace conclave::app
