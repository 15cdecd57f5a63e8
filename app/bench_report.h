#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "app/cli.h"
#include "app/model_source.h"
#include "engine/model/language_model.h"
#include "engine/roofline/machine_limits.h"
#include "engine/roofline/weight_stream.h"

namespace conclave::app {

/// Flags of every bench.
struct BenchFlags {
  CommonFlags common;
  int64_t repeats = 3;

  void Add(CLI::App& command);
};

/// Adds --prompt-tokens and --tokens, of each sequence; at least `least_tokens` of the latter.
void AddSequenceLength(CLI::App& command, int64_t& prompt, int64_t& tokens, int64_t least_tokens);

/// One measured figure beside what this machine allows.
struct BenchFigure {
  std::string name;
  double value = 0.0;
  std::string unit;
  std::optional<double> limit;  ///< in the same unit; none for what no machine limits by itself
  nlohmann::json details;
};

/// A line of JSON with the keys name, value, unit, limit, share_of_limit and details, or a sentence and a
/// line for each detail. Without a limit, limit and share_of_limit are null.
void PrintFigure(const BenchFigure& figure, bool json);

/// The token that a greedy bench goes on with. Errors: INTERNAL (no logit is a number: damaged weights would
/// give a figure for work that no model does).
Result<int32_t> LikeliestToken(std::span<const float> logits);

inline constexpr double kMilli = 1000.0;
using BenchClock = std::chrono::steady_clock;
double SecondsSince(BenchClock::time_point start);
double Median(std::vector<double> values);

/// The configured model, loaded without any service around it.
struct BenchModel {
  platform::Config config;
  platform::ModelSource source;
  std::shared_ptr<engine::ThreadPool> pool;
  std::unique_ptr<engine::LanguageModel> model;

  /// `tokens`: the longest sequence. Errors: as LanguageModel::Load; INVALID_ARGUMENT (the model's context is
  /// shorter).
  static Result<BenchModel> Load(const CommonFlags& flags, int64_t tokens);

  /// Model, kernels and threads: what every figure's details begin with.
  nlohmann::json Details() const;
};

/// Where the ids of prompts end that are made without the model's description: any vocabulary has so many.
inline constexpr int64_t kAnyVocabulary = 8192;

/// Token ids that repeat late, the same ones every time for a `seed`.
std::vector<int32_t> BenchPrompt(int64_t tokens, int64_t vocabulary, int64_t seed);

/// What arithmetic allows: the 8-bit and float32 peaks of the pool, measured once.
class ArithmeticLimit {
 public:
  static ArithmeticLimit Measure(engine::ThreadPool& pool);

  /// The least seconds that so many multiplications with an addition each can take.
  double Seconds(const engine::WeightStream::Products& products) const;

  nlohmann::json Details() const;

 private:
  engine::Peak int8_;
  engine::Peak fp32_;
};

/// The runner of a bench subcommand: reports its failure, or success.
template <typename Bench>
CommandRunner RunBench(Bench bench) {
  return [bench] {
    const Status status = bench();
    return status.ok() ? kExitOk : ReportFailure(status);
  };
}

// One function a bench, each in its own file; they add it to `bench`.
void AddBenchMachine(CLI::App& bench, CommandRunner& chosen);
void AddBenchDecode(CLI::App& bench, CommandRunner& chosen);
void AddBenchPrefill(CLI::App& bench, CommandRunner& chosen);
void AddBenchBatch(CLI::App& bench, CommandRunner& chosen);
void AddBenchPipeline(CLI::App& bench, CommandRunner& chosen);
void AddBenchExperts(CLI::App& bench, CommandRunner& chosen);
void AddBenchLoad(CLI::App& bench, CommandRunner& chosen);
void AddBenchStart(CLI::App& bench, CommandRunner& chosen);
void AddBenchSoak(CLI::App& bench, CommandRunner& chosen);

}  // namespace conclave::app
