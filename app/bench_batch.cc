// Many sequences at once without any service (RunBareBatch). Rates are counted as
// llama-batched-bench does: prompt tokens / prompt time, answer tokens / answer time, all tokens / all time
// (the figure). The limit is all tokens / the least time: the prompts' products at the arithmetic peak (see
// bench_prefill.cc), then for each answer step whichever is longer, reading the weights once or multiplying
// them with every sequence.

#include <algorithm>

#include "app/bare_batch.h"
#include "app/bench_report.h"
#include "engine/roofline/machine_limits.h"

namespace conclave::app {
namespace {

struct BatchFlags : BenchFlags, BatchShape {};

/// The least seconds that the machine needs for the whole of it.
double LeastSeconds(const BatchFlags& flags, const engine::WeightStream& stream,
                    const ArithmeticLimit& arithmetic, double bandwidth) {
  const double layers_s = arithmetic.Seconds(stream.CountProducts(false));
  const double head_s = arithmetic.Seconds(stream.CountProducts(true));
  const auto streams = static_cast<double>(flags.streams);
  const double prompts_s = streams * (static_cast<double>(flags.prompt) * layers_s + head_s);
  const double step_s =
      std::max(static_cast<double>(stream.bytes()) / bandwidth, streams * (layers_s + head_s));
  return prompts_s + static_cast<double>(flags.tokens) * step_s;
}

Status BenchBatch(const BatchFlags& flags) {
  CONCLAVE_ASSIGN_OR_RETURN(const BenchModel bench,
                            BenchModel::Load(flags.common, flags.prompt + flags.tokens));
  const int64_t step_tokens = bench.config.limits.step_tokens;
  engine::WeightStream stream(*bench.model);
  CONCLAVE_RETURN_IF_ERROR(stream.Validate(*bench.pool));
  const engine::KvLayout& layout = bench.model->kv().layout();
  const int64_t blocks = flags.streams * engine::KvBlocksFor(flags.prompt + flags.tokens);
  CONCLAVE_ASSIGN_OR_RETURN(const auto kv, engine::KvPool::Create(layout, blocks * layout.block_bytes()));
  ProgressBar bar("batch");
  const ArithmeticLimit arithmetic = ArithmeticLimit::Measure(*bench.pool);
  const double bandwidth = engine::MeasureReadBandwidth(*bench.pool).best;
  const auto prompts = static_cast<double>(flags.streams * flags.prompt);
  const auto answers = static_cast<double>(flags.streams * flags.tokens);
  std::vector<double> prompt, decode, total;
  for (int64_t i = 0; i < flags.repeats; ++i) {
    bar.Update(i, flags.repeats);
    CONCLAVE_ASSIGN_OR_RETURN(const BatchTimes times, RunBareBatch(*bench.model, bench.model->local_layers(),
                                                                   *kv, flags, step_tokens));
    prompt.push_back(prompts / times.prompt_s);
    decode.push_back(answers / times.decode_s);
    total.push_back((prompts + answers) / (times.prompt_s + times.decode_s));
  }
  nlohmann::json details = bench.Details();
  details.update(arithmetic.Details());
  details.update({{"streams", flags.streams},
                  {"prompt_tokens", flags.prompt},
                  {"tokens", flags.tokens},
                  {"step_tokens", step_tokens},
                  {"repeats", flags.repeats},
                  {"all", total},
                  {"prompt_tokens_per_s", Median(prompt)},
                  {"decode_tokens_per_s", Median(decode)},
                  {"read_bytes_per_s", bandwidth}});
  PrintFigure({.name = "batch",
               .value = Median(total),
               .unit = "tokens/s",
               .limit = (prompts + answers) / LeastSeconds(flags, stream, arithmetic, bandwidth),
               .details = details},
              flags.common.json);
  return Status::Ok();
}

}  // namespace

void AddBenchBatch(CLI::App& bench, CommandRunner& chosen) {
  auto flags = std::make_shared<BatchFlags>();
  CLI::App* command = bench.add_subcommand("batch", "Tokens per second of many sequences at once");
  flags->Add(*command);
  command->add_option("--streams", flags->streams, "Sequences at once")
      ->capture_default_str()
      ->check(WholeNumber(1, 1024));
  AddSequenceLength(*command, flags->prompt, flags->tokens, 1);
  command->footer("Example: conclave bench batch --streams 16 --prompt-tokens 128 --tokens 64 --json");
  command->callback([flags, &chosen] { chosen = RunBench([flags] { return BenchBatch(*flags); }); });
}

}  // namespace conclave::app
