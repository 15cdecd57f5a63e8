#include "app/line_editor.h"

#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <iostream>
#include <string_view>

#include <histedit.h>
#include <unistd.h>

namespace conclave::app {
namespace {

constexpr int kHistoryLines = 1000;

}  // namespace

struct LineEditor::State {
  std::string prompt;
  std::string history_file;
  EditLine* editor = nullptr;  ///< null when standard input is no terminal
  History* history = nullptr;
  HistEvent event = {};

  static char* Prompt(EditLine* editor) {
    void* self = nullptr;
    el_get(editor, EL_CLIENTDATA, &self);
    return static_cast<State*>(self)->prompt.data();
  }
};

LineEditor::LineEditor(const std::string& prompt, const std::string& history_file)
    : state_(std::make_unique<State>()) {
  state_->prompt = prompt;
  state_->history_file = history_file;
  if (isatty(STDIN_FILENO) == 0) return;
  state_->editor = el_init("conclave", stdin, stdout, stderr);
  state_->history = history_init();
  history(state_->history, &state_->event, H_SETSIZE, kHistoryLines);
  history(state_->history, &state_->event, H_SETUNIQUE, 1);
  history(state_->history, &state_->event, H_LOAD, history_file.c_str());
  el_set(state_->editor, EL_CLIENTDATA, state_.get());
  el_set(state_->editor, EL_PROMPT, &State::Prompt);
  el_set(state_->editor, EL_EDITOR, "emacs");
  el_set(state_->editor, EL_HIST, history, state_->history);
  el_source(state_->editor, nullptr);
}

LineEditor::~LineEditor() {
  if (state_->editor == nullptr) return;
  std::error_code ignored;
  std::filesystem::create_directories(std::filesystem::path(state_->history_file).parent_path(), ignored);
  history(state_->history, &state_->event, H_SAVE, state_->history_file.c_str());
  history_end(state_->history);
  el_end(state_->editor);
}

LineEditor::Input LineEditor::Read() {
  if (state_->editor == nullptr) {
    std::string line;
    if (!std::getline(std::cin, line)) return {};
    return {Event::kLine, line};
  }
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
  if (!line.empty()) history(state_->history, &state_->event, H_ENTER, line.c_str());
  return {Event::kLine, line};
}

}  // namespace conclave::app
