#include "app/cli.h"

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <iostream>
#include <system_error>
#include <utility>

#include <unistd.h>

namespace conclave::app {

CLI::Validator WholeNumber(uint64_t least, uint64_t most) {
  const auto check = [least, most](std::string& text) -> std::string {
    uint64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    const bool decimal = end == text.data() + text.size() && (text == "0" || text[0] != '0');
    if (error == std::errc() && decimal && value >= least && value <= most) return {};
    return "'" + text + "' is no whole number from " + std::to_string(least) + " to " + std::to_string(most);
  };
  return {check, "UINT"};
}

CLI::Validator NotEmpty() {
  return {[](std::string& text) { return std::string(text.empty() ? "it is empty" : ""); }, ""};
}

void CommonFlags::AddModel(CLI::App& command) {
  command.add_option("--model,-m", model,
                     "A model's name, a .gguf file, or a folder with config.json and .safetensors");
  command.add_option("--threads,-t", threads, "Engine threads; 0: one for each processor")
      ->check(WholeNumber(0, 1024));
  command.add_option("--kv-type", kv_type, "Keys and values in bf16, or in int8: half the memory a token")
      ->check(CLI::IsMember({platform::KvTypeName(platform::KvType::kBfloat16),
                             platform::KvTypeName(platform::KvType::kInt8)}));
  command.add_option("--config", config_file, "A configuration file (YAML)");
}

void CommonFlags::AddConnect(CLI::App& command) {
  CLI::Option* option =
      command
          .add_option("--connect", connect, "Use a running server, for example 127.0.0.1:7400 or unix:PATH")
          ->check(NotEmpty());
  // The server has its own.
  for (const char* name : {"--model", "--threads", "--kv-type"}) {
    if (CLI::Option* other = command.get_option_no_throw(name)) option->excludes(other);
  }
}

void CommonFlags::AddJson(CLI::App& command) {
  command.add_flag("--json", json, "One JSON object a line on stdout");
}

std::vector<platform::ConfigOverride> CommonFlags::Overrides() const {
  std::vector<platform::ConfigOverride> overrides;
  if (!model.empty()) overrides.emplace_back("model", model);
  if (threads > 0) overrides.emplace_back("threads", std::to_string(threads));
  if (!kv_type.empty()) overrides.emplace_back("limits.kv_type", kv_type);
  return overrides;
}

Result<platform::Config> CommonFlags::LoadConfig() const {
  return platform::LoadConfig(config_file, platform::EnvironmentVariables(), Overrides());
}

int ReportFailure(const Status& status) {
  std::string message = status.message();
  std::replace(message.begin(), message.end(), '\n', ' ');
  std::cerr << "conclave: " << message << std::endl;
  return kExitFailure;
}

void PrintLine(const std::string& line) { std::cout << line << std::endl; }

bool ProgressVisible() { return isatty(STDERR_FILENO) != 0; }

ProgressBar::~ProgressBar() {
  if (drawn_) std::fputs("\r\x1b[K", stderr);
}

void ProgressBar::Update(int64_t done, int64_t total) {
  if (!ProgressVisible() || total <= 0) return;
  constexpr int kWidth = 30;
  const int filled = static_cast<int>(kWidth * std::min(done, total) / total);
  std::fprintf(stderr, "\r%s [%s%s] %lld/%lld\x1b[K", label_.c_str(), std::string(filled, '#').c_str(),
               std::string(kWidth - filled, '.').c_str(), static_cast<long long>(done),
               static_cast<long long>(total));
  std::fflush(stderr);
  drawn_ = true;
}

}  // namespace conclave::app
