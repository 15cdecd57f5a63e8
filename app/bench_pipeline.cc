// What being a service costs: the same sequences through the bare engine (RunBareBatch), through the services
// in this process over gRPC without a socket, and through separate processes (router, tokenizer, decoder with
// its experts) over Unix sockets, in turn. The schedule is the bare engine's: prompts fill steps, and no
// token is guessed. The figure is the lowest share of the bare engine's tokens a second that services in this
// process reach, over all numbers of streams.

#include <algorithm>
#include <chrono>
#include <memory>
#include <thread>

#include "app/bare_batch.h"
#include "app/bench_report.h"
#include "app/child_processes.h"
#include "app/connection.h"
#include "app/load_generator.h"
#include "app/temporary_folder.h"

namespace conclave::app {
namespace {

constexpr auto kStartTimeout = std::chrono::seconds(60);

struct PipelineFlags : BenchFlags {
  std::vector<int64_t> streams = {1, 8, 32};
  int64_t prompt = 128;
  int64_t tokens = 64;
};

/// One way of doing the work, and what it measured so far.
struct Side {
  std::string name;
  std::function<Result<LoadTimes>(const Load& load)> run;
};

/// The router, the tokenizer and the decoder with its experts as processes of their own.
const std::vector<ChildProcesses::Process> kSeparateProcesses = {
    {.name = "tokenizer", .services = {"tokenizer"}},
    {.name = "decoder", .services = {"experts", "decoder"}},
    {.name = "router", .services = {"router"}}};

/// A short request goes through all of them.
Status WaitUntilItAnswers(const std::shared_ptr<grpc::Channel>& router) {
  const auto deadline = BenchClock::now() + kStartTimeout;
  while (true) {
    const Status status = RunLoad(router, {.streams = 1, .prompt = 4, .tokens = 2}).status();
    if (status.ok() || BenchClock::now() >= deadline) return status;
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
}

/// The bare engine in the terms of a client: its first tokens come when the prompts are done.
Result<LoadTimes> RunBare(engine::LanguageModel& model, engine::KvPool& kv, const Load& load,
                          int64_t step_tokens) {
  // The prompts make the first token.
  const BatchShape shape{.streams = load.streams, .prompt = load.prompt, .tokens = load.tokens - 1};
  CONCLAVE_ASSIGN_OR_RETURN(const BatchTimes times,
                            RunBareBatch(model, model.local_layers(), kv, shape, step_tokens));
  return LoadTimes{.total_s = times.prompt_s + times.decode_s,
                   .first_token_s = {times.prompt_s},
                   .decoder_prompt_s = {times.prompt_s}};
}

/// Rounds over all sides in turn; a JSON object for one number of streams, and the share of the first side
/// that the second one reaches.
Result<nlohmann::json> MeasureStreams(const std::vector<Side>& sides, const PipelineFlags& flags,
                                      int64_t streams, int64_t& seed, double& share) {
  std::vector<std::vector<double>> rates(sides.size()), first(sides.size()), own(sides.size());
  for (int64_t round = 0; round <= flags.repeats; ++round) {  // The first round warms up and does not count.
    for (size_t i = 0; i < sides.size(); ++i) {
      const Load load{.streams = streams, .prompt = flags.prompt, .tokens = flags.tokens, .first_seed = seed};
      seed += streams;
      CONCLAVE_ASSIGN_OR_RETURN(const LoadTimes times, sides[i].run(load));
      if (round == 0) continue;
      rates[i].push_back(static_cast<double>(streams * (flags.prompt + flags.tokens)) / times.total_s);
      first[i].push_back(kMilli * Quantile(times.first_token_s, 0.5));
      own[i].push_back(kMilli * Quantile(times.decoder_prompt_s, 0.5));
    }
  }
  nlohmann::json row = {{"streams", streams}};
  for (size_t i = 0; i < sides.size(); ++i) {
    std::vector<double> shares;
    for (size_t round = 0; round < rates[i].size(); ++round)
      shares.push_back(rates[i][round] / rates[0][round]);
    row[sides[i].name] = {{"tokens_per_s", Median(rates[i])},
                          {"share_of_bare_engine", Median(shares)},
                          {"first_token_ms", Median(first[i])},
                          {"decoder_prompt_ms", Median(own[i])},
                          {"all", rates[i]}};
    if (i == 1) share = Median(shares);
  }
  return row;
}

Status BenchPipeline(const PipelineFlags& flags) {
  const int64_t most_streams = *std::max_element(flags.streams.begin(), flags.streams.end());
  const int64_t length = flags.prompt + flags.tokens;
  CONCLAVE_ASSIGN_OR_RETURN(BenchModel bench, BenchModel::Load(flags.common, length));
  const engine::KvLayout& layout = bench.model->kv().layout();
  const int64_t kv_bytes = most_streams * engine::KvBlocksFor(length) * layout.block_bytes();
  CONCLAVE_ASSIGN_OR_RETURN(const auto kv, engine::KvPool::Create(layout, kv_bytes));
  CONCLAVE_ASSIGN_OR_RETURN(const auto folder, TemporaryFolder::Make());

  platform::Config config = bench.config;
  config.model = bench.source.path;
  config.limits.draft_tokens = 0;
  config.limits.slowdown_percent = 0;
  config.limits.kv_bytes = 2 * kv_bytes;
  CONCLAVE_ASSIGN_OR_RETURN(const auto local, Connection::Start(config, Connection::Services::kGeneration));
  CONCLAVE_ASSIGN_OR_RETURN(const auto separate,
                            ChildProcesses::Start(config, folder->path(), kSeparateProcesses));
  CONCLAVE_ASSIGN_OR_RETURN(const auto router, separate->Open("router"));
  CONCLAVE_RETURN_IF_ERROR(WaitUntilItAnswers(router));

  const std::vector<Side> sides = {
      {"bare_engine",
       [&](const Load& load) { return RunBare(*bench.model, *kv, load, config.limits.step_tokens); }},
      {"in_process", [&](const Load& load) { return RunLoad(local->channel(), load); }},
      {"separate_processes", [&](const Load& load) { return RunLoad(router, load); }}};
  ProgressBar bar("pipeline");
  nlohmann::json rows = nlohmann::json::array();
  double lowest = 1.0;
  int64_t seed = 0;
  for (size_t i = 0; i < flags.streams.size(); ++i) {
    bar.Update(static_cast<int64_t>(i), static_cast<int64_t>(flags.streams.size()));
    double share = 1.0;
    CONCLAVE_ASSIGN_OR_RETURN(nlohmann::json row,
                              MeasureStreams(sides, flags, flags.streams[i], seed, share));
    lowest = i == 0 ? share : std::min(lowest, share);
    rows.push_back(std::move(row));
  }
  nlohmann::json details = bench.Details();
  details.update({{"prompt_tokens", flags.prompt},
                  {"tokens", flags.tokens},
                  {"repeats", flags.repeats},
                  {"streams", rows}});
  PrintFigure({.name = "pipeline",
               .value = lowest,
               .unit = "of the bare engine's tokens/s",
               .limit = 1.0,
               .details = details},
              flags.common.json);
  return Status::Ok();
}

}  // namespace

void AddBenchPipeline(CLI::App& bench, CommandRunner& chosen) {
  auto flags = std::make_shared<PipelineFlags>();
  CLI::App* command = bench.add_subcommand(
      "pipeline", "What the services cost beside the bare engine, in one process and in several");
  flags->Add(*command);
  command->add_option("--streams", flags->streams, "Sequences at once, one or more numbers")
      ->capture_default_str()
      ->check(WholeNumber(1, 64));
  AddSequenceLength(*command, flags->prompt, flags->tokens, 2);
  command->footer("Example: conclave bench pipeline --streams 1 8 32 --json");
  command->callback([flags, &chosen] { chosen = RunBench([flags] { return BenchPipeline(*flags); }); });
}

}  // namespace conclave::app
