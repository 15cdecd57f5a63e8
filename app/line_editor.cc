#include "app/line_editor.h"

#include <cerrno>
#include <clocale>
#include <cstdio>
#include <filesystem>
#include <iostream>
#include <string_view>

#include <histedit.h>
#include <langinfo.h>
#include <poll.h>
#include <unistd.h>

namespace conclave::app {
namespace {

constexpr int kHistoryLines = 1000;

/// libedit moves over characters of the locale; where none is set (a container, ssh), text is UTF-8.
void UseUtf8() {
  std::setlocale(LC_CTYPE, "");
  if (std::string_view(nl_langinfo(CODESET)) != "UTF-8") std::setlocale(LC_CTYPE, "C.UTF-8");
}

/// Nobody begins a line this soon after another one: it was pasted with it. Pasted text comes in pieces.
constexpr int kPasteGapMs = 20;
constexpr size_t kMostPastedBytes = 1 << 20;

bool MoreIsThere(int wait_ms) {
  pollfd input{.fd = STDIN_FILENO, .events = POLLIN, .revents = 0};
  return poll(&input, 1, wait_ms) == 1 && (input.revents & POLLIN) != 0;
}

}  // namespace

struct LineEditor::State {
  std::string prompt;
  std::string history_file;
  EditLine* editor = nullptr;  ///< null when standard input is no terminal
  History* lines = nullptr;
  HistEvent event = {};

  static char* Prompt(EditLine* editor) {
    void* self = nullptr;
    el_get(editor, EL_CLIENTDATA, &self);
    return static_cast<State*>(self)->prompt.data();
  }

  /// Saved with every line: a conversation may end by a signal.
  void Remember(const std::string& line) {
    history(lines, &event, H_ENTER, line.c_str());
    history(lines, &event, H_SAVE, history_file.c_str());
  }
};

LineEditor::LineEditor(const std::string& prompt, const std::string& history_file)
    : state_(std::make_unique<State>()) {
  state_->prompt = prompt;
  state_->history_file = history_file;
  if (isatty(STDIN_FILENO) == 0) return;
  UseUtf8();
  state_->editor = el_init("conclave", stdin, stdout, stderr);
  state_->lines = history_init();
  history(state_->lines, &state_->event, H_SETSIZE, kHistoryLines);
  history(state_->lines, &state_->event, H_SETUNIQUE, 1);
  std::error_code ignored;
  std::filesystem::create_directories(std::filesystem::path(history_file).parent_path(), ignored);
  history(state_->lines, &state_->event, H_LOAD, history_file.c_str());
  el_set(state_->editor, EL_CLIENTDATA, state_.get());
  el_set(state_->editor, EL_PROMPT, &State::Prompt);
  el_set(state_->editor, EL_EDITOR, "emacs");
  el_set(state_->editor, EL_HIST, history, state_->lines);
  el_source(state_->editor, nullptr);
}

LineEditor::~LineEditor() {
  if (state_->editor == nullptr) return;
  history_end(state_->lines);
  el_end(state_->editor);
}

LineEditor::Input LineEditor::Read() {
  if (state_->editor == nullptr) {
    std::string line;
    if (!std::getline(std::cin, line)) return {};
    return {Event::kLine, line};
  }
  const bool typed_ahead = MoreIsThere(0);
  Input input = ReadLine();
  const bool text = input.event == Event::kLine && !input.line.empty() && input.line.front() != '/';
  while (text && !typed_ahead && input.line.size() < kMostPastedBytes && MoreIsThere(kPasteGapMs)) {
    const Input next = ReadLine();
    if (next.event == Event::kInterrupted) return next;
    if (next.event == Event::kEnd) break;
    input.line += "\n" + next.line;
  }
  while (!input.line.empty() && input.line.back() == '\n') input.line.pop_back();
  return input;
}

LineEditor::Input LineEditor::ReadLine() {
  int count = 0;
  const char* text = el_gets(state_->editor, &count);
  if (text == nullptr || count <= 0) {
    const bool interrupted = count < 0 && errno == EINTR;
    if (interrupted) el_reset(state_->editor);
    std::fputs("\n", stdout);
    return {interrupted ? Event::kInterrupted : Event::kEnd, {}};
  }
  std::string line(text, static_cast<size_t>(count));
  while (!line.empty() && (line.back() == '\n' || line.back() == '\r')) line.pop_back();
  if (!line.empty()) state_->Remember(line);
  return {Event::kLine, line};
}

}  // namespace conclave::app
