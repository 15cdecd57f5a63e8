#pragma once

#include <functional>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>

#include "base/status.h"
#include "platform/config/config.h"

namespace conclave::app {

inline constexpr int kExitOk = 0;
inline constexpr int kExitFailure = 1;
inline constexpr int kExitUsage = 2;

/// Flags that several subcommands share.
struct CommonFlags {
  std::string config_file;
  std::string model;
  int64_t threads = 0;
  std::string kv_type;  ///< empty: as configured
  std::string connect;  ///< a running server; empty: services in this process
  bool json = false;

  /// Adds the flags that apply to a command.
  void AddModel(CLI::App& command);
  void AddConnect(CLI::App& command);  ///< after AddModel, whose flags it excludes
  void AddJson(CLI::App& command);

  /// What these flags say in place of the configuration.
  std::vector<platform::ConfigOverride> Overrides() const;
  /// The configuration: file, then environment, then these flags.
  Result<platform::Config> LoadConfig() const;
};

/// Takes decimal digits from `least` to `most`: the parser itself would take -1 and octal numbers too.
CLI::Validator WholeNumber(uint64_t least, uint64_t most);

/// Refuses an empty value, which is mostly a variable of a script that was not set.
CLI::Validator NotEmpty();

/// A subcommand: declares its flags on `command` and returns what runs it (and gives the exit code).
using CommandRunner = std::function<int()>;

// One function a subcommand, each in its own file; they add it to the program.
void AddServeCommand(CLI::App& program, CommandRunner& chosen);
void AddChatCommand(CLI::App& program, CommandRunner& chosen);
void AddGenerateCommand(CLI::App& program, CommandRunner& chosen);
void AddScoreCommand(CLI::App& program, CommandRunner& chosen);
void AddTokenizeCommand(CLI::App& program, CommandRunner& chosen);
void AddIngestCommand(CLI::App& program, CommandRunner& chosen);
void AddSearchCommand(CLI::App& program, CommandRunner& chosen);
void AddRateCommand(CLI::App& program, CommandRunner& chosen);
void AddBenchCommand(CLI::App& program, CommandRunner& chosen);
void AddConvertCommand(CLI::App& program, CommandRunner& chosen);

/// One line on stderr, "conclave: message"; returns kExitFailure (kExitUsage for wrong arguments found late).
int ReportFailure(const Status& status);

/// One JSON object as a line on stdout; invalid UTF-8 is replaced. Defined in json_output.h's terms by the
/// callers.
void PrintLine(const std::string& line);

/// Whether stderr is a terminal, where progress may be drawn.
bool ProgressVisible();

/// Draws "label [#####....] done/total" on stderr, in place; nothing when it is not a terminal.
class ProgressBar {
 public:
  explicit ProgressBar(std::string label) : label_(std::move(label)) {}
  ~ProgressBar();
  void Update(int64_t done, int64_t total);

 private:
  std::string label_;
  bool drawn_ = false;
};

}  // namespace conclave::app
