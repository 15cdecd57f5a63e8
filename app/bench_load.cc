// Clients of a router, in this process without a socket or at --connect: tokens a second over gRPC, the time
// to the first token and the time between tokens. With --beside, the time between the tokens of running
// answers while a long prompt is computed, as a multiple of what it is without: the figure is the ratio of
// the 99th percentiles.

#include <memory>

#include "app/bench_report.h"
#include "app/connection.h"
#include "app/load_generator.h"

namespace conclave::app {
namespace {

struct LoadFlags : BenchFlags, Load {
  int64_t beside = 0;
};

Status BenchThroughput(const LoadFlags& flags, Connection& connection) {
  ProgressBar bar("load");
  std::vector<double> rates, first, between;
  for (int64_t i = 0; i < flags.repeats; ++i) {
    bar.Update(i, flags.repeats);
    Load load = flags;
    load.first_seed = i * flags.streams * flags.rounds;
    CONCLAVE_ASSIGN_OR_RETURN(const LoadTimes times, RunLoad(connection.channel(), load));
    const int64_t answers = load.streams * load.rounds;
    rates.push_back(static_cast<double>(answers * (load.prompt + load.tokens)) / times.total_s);
    first.insert(first.end(), times.first_token_s.begin(), times.first_token_s.end());
    between.insert(between.end(), times.between_tokens_s.begin(), times.between_tokens_s.end());
  }
  PrintFigure({.name = "load",
               .value = Median(rates),
               .unit = "tokens/s",
               .limit = {},
               .details = {{"streams", flags.streams},
                           {"rounds", flags.rounds},
                           {"prompt_tokens", flags.prompt},
                           {"tokens", flags.tokens},
                           {"repeats", flags.repeats},
                           {"all", rates},
                           {"first_token_p50_ms", kMilli * Quantile(first, 0.5)},
                           {"first_token_p99_ms", kMilli * Quantile(first, 0.99)},
                           {"between_tokens_p50_ms", kMilli * Quantile(between, 0.5)},
                           {"between_tokens_p99_ms", kMilli * Quantile(between, 0.99)}}},
              flags.common.json);
  return Status::Ok();
}

Status BenchBeside(const LoadFlags& flags, Connection& connection) {
  ProgressBar bar("load");
  std::vector<double> ratios;
  BesideTimes all;
  std::vector<double> prompts;
  for (int64_t i = 0; i < flags.repeats; ++i) {
    bar.Update(i, flags.repeats);
    Load load = flags;
    load.first_seed = i * (flags.streams + 1);
    CONCLAVE_ASSIGN_OR_RETURN(const BesideTimes times,
                              RunBesideLongPrompt(connection.channel(), load, flags.beside));
    ratios.push_back(Quantile(times.beside_s, 0.99) / Quantile(times.idle_s, 0.99));
    prompts.push_back(times.prompt_s);
    all.idle_s.insert(all.idle_s.end(), times.idle_s.begin(), times.idle_s.end());
    all.beside_s.insert(all.beside_s.end(), times.beside_s.begin(), times.beside_s.end());
  }
  PrintFigure({.name = "load",
               .value = Median(ratios),
               .unit = "times the idle time between tokens (p99)",
               .limit = {},
               .details = {{"streams", flags.streams},
                           {"long_prompt_tokens", flags.beside},
                           {"repeats", flags.repeats},
                           {"all", ratios},
                           {"idle_p50_ms", kMilli * Quantile(all.idle_s, 0.5)},
                           {"idle_p99_ms", kMilli * Quantile(all.idle_s, 0.99)},
                           {"beside_p50_ms", kMilli * Quantile(all.beside_s, 0.5)},
                           {"beside_p99_ms", kMilli * Quantile(all.beside_s, 0.99)},
                           {"long_prompt_s", Median(prompts)}}},
              flags.common.json);
  return Status::Ok();
}

Status BenchLoad(const LoadFlags& flags) {
  CONCLAVE_ASSIGN_OR_RETURN(const auto connection,
                            Connection::Open(flags.common, Connection::Services::kGeneration));
  return flags.beside > 0 ? BenchBeside(flags, *connection) : BenchThroughput(flags, *connection);
}

}  // namespace

void AddBenchLoad(CLI::App& bench, CommandRunner& chosen) {
  auto flags = std::make_shared<LoadFlags>();
  CLI::App* command = bench.add_subcommand("load", "Tokens per second and waiting times that clients see");
  flags->Add(*command);
  flags->common.AddConnect(*command);
  command->add_option("--streams", flags->streams, "Clients at once")
      ->capture_default_str()
      ->check(WholeNumber(1, 1024));
  command->add_option("--rounds", flags->rounds, "Completions that each asks for, one after the other")
      ->capture_default_str()
      ->check(WholeNumber(1, 100000));
  AddSequenceLength(*command, flags->prompt, flags->tokens, 2);
  command->add_option("--beside", flags->beside, "Measure beside one prompt of so many tokens")
      ->check(WholeNumber(1, 100000));
  command->footer("Example: conclave bench load --streams 16 --connect 127.0.0.1:7400 --json");
  command->callback([flags, &chosen] { chosen = RunBench([flags] { return BenchLoad(*flags); }); });
}

}  // namespace conclave::app
