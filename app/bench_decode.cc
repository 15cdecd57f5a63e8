// Tokens per second of one sequence after its prompt, greedy, without any service. The limit is the bare
// weight stream, measured before each run: a token needs every weight once, through the same kernels and
// regions.

#include "app/bench_report.h"
#include "engine/roofline/machine_limits.h"
#include "engine/roofline/rates.h"

namespace conclave::app {
namespace {

struct DecodeFlags : BenchFlags {
  int64_t tokens = 128;
  int64_t prompt = 16;
};

struct DecodeRates {
  double decode_tokens_per_s = 0.0;
  double prompt_tokens_per_s = 0.0;
};

Result<DecodeRates> MeasureDecode(engine::LanguageModel& model, const DecodeFlags& flags) {
  engine::KvSequence cache(model.kv());
  CONCLAVE_RETURN_IF_ERROR(cache.Reserve(flags.prompt + flags.tokens));
  const std::vector<int32_t> prompt = BenchPrompt(flags.prompt, model.architecture().vocabulary, 0);
  std::vector<float> logits(model.architecture().vocabulary);
  engine::SequenceStep step{.cache = &cache, .tokens = prompt, .logits_rows = 1};
  DecodeRates rates;
  auto start = BenchClock::now();
  CONCLAVE_RETURN_IF_ERROR(model.Forward({&step, 1}, logits.data()));
  rates.prompt_tokens_per_s = static_cast<double>(flags.prompt) / SecondsSince(start);
  start = BenchClock::now();
  for (int64_t i = 0; i < flags.tokens; ++i) {
    CONCLAVE_ASSIGN_OR_RETURN(const int32_t token, LikeliestToken(logits));
    step.tokens = {&token, 1};
    CONCLAVE_RETURN_IF_ERROR(model.Forward({&step, 1}, logits.data()));
  }
  rates.decode_tokens_per_s = static_cast<double>(flags.tokens) / SecondsSince(start);
  return rates;
}

Status BenchDecode(const DecodeFlags& flags) {
  CONCLAVE_ASSIGN_OR_RETURN(const BenchModel bench,
                            BenchModel::Load(flags.common, flags.prompt + flags.tokens));
  engine::WeightStream stream(*bench.model);
  CONCLAVE_RETURN_IF_ERROR(stream.Validate(*bench.pool));
  ProgressBar bar("decode");
  const double bandwidth = engine::MeasureReadBandwidth(*bench.pool).best;
  std::vector<double> decode, prompt, passes;
  for (int64_t i = 0; i < flags.repeats; ++i) {
    bar.Update(i, flags.repeats);
    passes.push_back(engine::Measure(3, 0.1, [&] { stream.Pass(*bench.pool); }).median);
    CONCLAVE_ASSIGN_OR_RETURN(const DecodeRates rates, MeasureDecode(*bench.model, flags));
    decode.push_back(rates.decode_tokens_per_s);
    prompt.push_back(rates.prompt_tokens_per_s);
  }
  nlohmann::json details = bench.Details();
  details.update({{"prompt_tokens", flags.prompt},
                  {"tokens", flags.tokens},
                  {"repeats", flags.repeats},
                  {"all", decode},
                  {"prompt_tokens_per_s", Median(prompt)},
                  {"weight_stream_passes_per_s", Median(passes)},
                  {"read_bytes_per_s", bandwidth},
                  {"share_of_read_bandwidth",
                   Median(decode) * static_cast<double>(stream.bytes()) / bandwidth}});
  PrintFigure({.name = "decode",
               .value = Median(decode),
               .unit = "tokens/s",
               .limit = Median(passes),
               .details = details},
              flags.common.json);
  return Status::Ok();
}

}  // namespace

void AddBenchDecode(CLI::App& bench, CommandRunner& chosen) {
  auto flags = std::make_shared<DecodeFlags>();
  CLI::App* command =
      bench.add_subcommand("decode", "Tokens per second of one sequence, without any service");
  flags->Add(*command);
  command->add_option("--tokens,-n", flags->tokens, "Tokens to decode")
      ->capture_default_str()
      ->check(WholeNumber(1, 100000));
  command->add_option("--prompt-tokens", flags->prompt, "Tokens before them")
      ->capture_default_str()
      ->check(WholeNumber(1, 100000));
  command->footer("Example: conclave bench decode --threads 2 --json");
  command->callback([flags, &chosen] { chosen = RunBench([flags] { return BenchDecode(*flags); }); });
}

}  // namespace conclave::app
