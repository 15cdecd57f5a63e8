#include <algorithm>
#include <chrono>
#include <iostream>
#include <memory>
#include <vector>

#include <nlohmann/json.hpp>

#include "app/cli.h"
#include "app/json_line.h"
#include "app/model_source.h"
#include "engine/model/language_model.h"
#include "engine/roofline/machine_limits.h"
#include "engine/sampling/sampler.h"

namespace conclave::app {
namespace {

using Clock = std::chrono::steady_clock;

struct BenchFlags {
  CommonFlags common;
  int64_t tokens = 128;
  int64_t prompt = 16;
  int64_t repeats = 3;
};

double SecondsSince(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

double Median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

/// Greedy decoding of one sequence: tokens per second after the prompt, and the prompt's own.
struct DecodeRates {
  double decode_tokens_per_s = 0.0;
  double prompt_tokens_per_s = 0.0;
};

Result<DecodeRates> MeasureDecode(engine::LanguageModel& model, const BenchFlags& flags) {
  engine::KvSequence cache(model.kv());
  CONCLAVE_RETURN_IF_ERROR(cache.Reserve(flags.prompt + flags.tokens));
  std::vector<int32_t> prompt(flags.prompt);
  for (int64_t i = 0; i < flags.prompt; ++i)
    prompt[i] = static_cast<int32_t>((i * 37 + 11) % model.architecture().vocabulary);
  std::vector<float> logits(model.architecture().vocabulary);
  engine::SequenceStep step{.cache = &cache, .tokens = prompt, .logits_rows = 1};
  DecodeRates rates;
  auto start = Clock::now();
  CONCLAVE_RETURN_IF_ERROR(model.Forward({&step, 1}, logits.data()));
  rates.prompt_tokens_per_s = static_cast<double>(flags.prompt) / SecondsSince(start);
  start = Clock::now();
  for (int64_t i = 0; i < flags.tokens; ++i) {
    const int32_t token = std::max(0, engine::ArgMax(logits));
    step.tokens = {&token, 1};
    CONCLAVE_RETURN_IF_ERROR(model.Forward({&step, 1}, logits.data()));
  }
  rates.decode_tokens_per_s = static_cast<double>(flags.tokens) / SecondsSince(start);
  return rates;
}

Status BenchDecode(const BenchFlags& flags) {
  CONCLAVE_ASSIGN_OR_RETURN(const platform::Config config, flags.common.LoadConfig());
  CONCLAVE_ASSIGN_OR_RETURN(const platform::ModelSource source, FindModel(config));
  auto pool = std::make_shared<engine::ThreadPool>(static_cast<int>(config.threads));
  CONCLAVE_ASSIGN_OR_RETURN(const auto model,
                            engine::LanguageModel::Load(source.path, flags.prompt + flags.tokens, pool));
  ProgressBar bar("decode");
  std::vector<double> decode, prompt, bandwidth;
  for (int64_t i = 0; i < flags.repeats; ++i) {
    bar.Update(i, flags.repeats);
    bandwidth.push_back(engine::MeasureReadBandwidth(*pool, {.rounds = 3, .round_s = 0.1}).best);
    CONCLAVE_ASSIGN_OR_RETURN(const DecodeRates rates, MeasureDecode(*model, flags));
    decode.push_back(rates.decode_tokens_per_s);
    prompt.push_back(rates.prompt_tokens_per_s);
  }
  const double value = Median(decode);
  // A token reads every weight once; nothing can be faster than reading them.
  const double limit = Median(bandwidth) / static_cast<double>(model->weight_bytes());
  const nlohmann::json details = {{"model", source.name},
                                  {"model_hash", source.hash},
                                  {"kernels", engine::BestKernels().name},
                                  {"threads", pool->size()},
                                  {"prompt_tokens", flags.prompt},
                                  {"tokens", flags.tokens},
                                  {"repeats", flags.repeats},
                                  {"all", decode},
                                  {"prompt_tokens_per_s", Median(prompt)},
                                  {"weight_bytes", model->weight_bytes()},
                                  {"read_bytes_per_s", Median(bandwidth)}};
  if (flags.common.json) {
    PrintLine(JsonLine({{"name", "decode"},
                        {"value", value},
                        {"unit", "tokens/s"},
                        {"limit", limit},
                        {"share_of_limit", value / limit},
                        {"details", details}}));
  } else {
    std::cout << "decode: " << value << " tokens/s, " << 100.0 * value / limit << "% of the " << limit
              << " that this machine's memory allows" << std::endl;
  }
  return Status::Ok();
}

}  // namespace

void AddBenchCommand(CLI::App& program, CommandRunner& chosen) {
  auto flags = std::make_shared<BenchFlags>();
  CLI::App* bench = program.add_subcommand("bench", "Measure this machine with this program");
  bench->require_subcommand(1);
  CLI::App* decode =
      bench->add_subcommand("decode", "Tokens per second of one sequence, without any service");
  flags->common.AddModel(*decode);
  flags->common.AddJson(*decode);
  decode->add_option("--tokens,-n", flags->tokens, "Tokens to decode")
      ->capture_default_str()
      ->check(CLI::Range(1, 100000));
  decode->add_option("--prompt-tokens", flags->prompt, "Tokens before them")
      ->capture_default_str()
      ->check(CLI::Range(1, 100000));
  decode->add_option("--repeats", flags->repeats, "The median of so many runs is reported")
      ->capture_default_str()
      ->check(CLI::Range(1, 1000));
  decode->footer("Example: conclave bench decode --threads 2 --json");
  decode->callback([flags, &chosen] {
    chosen = [flags] {
      const Status status = BenchDecode(*flags);
      return status.ok() ? kExitOk : ReportFailure(status);
    };
  });
}

}  // namespace conclave::app
