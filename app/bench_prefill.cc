// Prompt tokens per second of one sequence, in the chunks of the decoder's steps, with logits for the last
// token as the decoder wants them, without any service. The limit counts the products of the layers'
// matrices, and of the head for one token: time >= 2 * products / peak of that arithmetic. Attention and the
// second plane of activations (docs/decisions/0006) are not in it, so 1.0 is out of reach.

#include <algorithm>

#include "app/bench_report.h"

namespace conclave::app {
namespace {

struct PrefillFlags : BenchFlags {
  int64_t tokens = 512;
};

Result<double> MeasurePrefill(engine::LanguageModel& model, std::span<const int32_t> prompt, int64_t chunk) {
  engine::KvSequence cache(model.kv());
  const auto count = static_cast<int64_t>(prompt.size());
  CONCLAVE_RETURN_IF_ERROR(cache.Reserve(count));
  std::vector<float> logits(model.architecture().vocabulary);
  const auto start = BenchClock::now();
  for (int64_t begin = 0; begin < count; begin += chunk) {
    const int64_t end = std::min(count, begin + chunk);
    const engine::SequenceStep step{
        .cache = &cache, .tokens = prompt.subspan(begin, end - begin), .logits_rows = end == count ? 1 : 0};
    CONCLAVE_RETURN_IF_ERROR(model.Forward({&step, 1}, logits.data()));
  }
  return static_cast<double>(count) / SecondsSince(start);
}

Status BenchPrefill(const PrefillFlags& flags) {
  CONCLAVE_ASSIGN_OR_RETURN(const BenchModel bench, BenchModel::Load(flags.common, flags.tokens));
  const int64_t chunk = bench.config.limits.step_tokens;
  engine::WeightStream stream(*bench.model);
  CONCLAVE_RETURN_IF_ERROR(stream.Validate(*bench.pool));
  const std::vector<int32_t> prompt = BenchPrompt(flags.tokens, bench.model->architecture().vocabulary, 0);
  ProgressBar bar("prefill");
  const ArithmeticLimit arithmetic = ArithmeticLimit::Measure(*bench.pool);
  std::vector<double> rates;
  for (int64_t i = 0; i < flags.repeats; ++i) {
    bar.Update(i, flags.repeats);
    CONCLAVE_ASSIGN_OR_RETURN(const double rate, MeasurePrefill(*bench.model, prompt, chunk));
    rates.push_back(rate);
  }
  const double tokens = static_cast<double>(flags.tokens);
  const double least_s = tokens * arithmetic.Seconds(stream.CountProducts(false)) +
                         arithmetic.Seconds(stream.CountProducts(true));
  nlohmann::json details = bench.Details();
  details.update(arithmetic.Details());
  details.update(
      {{"tokens", flags.tokens}, {"step_tokens", chunk}, {"repeats", flags.repeats}, {"all", rates}});
  PrintFigure({.name = "prefill",
               .value = Median(rates),
               .unit = "tokens/s",
               .limit = tokens / least_s,
               .details = details},
              flags.common.json);
  return Status::Ok();
}

}  // namespace

void AddBenchPrefill(CLI::App& bench, CommandRunner& chosen) {
  auto flags = std::make_shared<PrefillFlags>();
  CLI::App* command = bench.add_subcommand("prefill", "Prompt tokens per second, without any service");
  flags->Add(*command);
  command->add_option("--tokens,-n", flags->tokens, "Tokens of the prompt")
      ->capture_default_str()
      ->check(WholeNumber(1, 100000));
  command->footer("Example: conclave bench prefill --tokens 4096 --threads 2 --json");
  command->callback([flags, &chosen] { chosen = RunBench([flags] { return BenchPrefill(*flags); }); });
}

}  // namespace conclave::app
