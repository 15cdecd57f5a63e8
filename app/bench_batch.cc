// Many sequences at once, greedy, without any service: all prompts first, in steps of the decoder's size that
// are filled across sequences, then one token of every sequence a step. Rates are counted as
// llama-batched-bench does: prompt tokens / prompt time, answer tokens / answer time, all tokens / all time
// (the figure). The limit is all tokens / the least time: the prompts' products at the arithmetic peak (see
// bench_prefill.cc), then for each answer step whichever is longer, reading the weights once or multiplying
// them with every sequence.

#include <algorithm>
#include <list>

#include "app/bench_report.h"
#include "engine/roofline/machine_limits.h"
#include "engine/sampling/sampler.h"

namespace conclave::app {
namespace {

struct BatchFlags : BenchFlags {
  int64_t streams = 16;
  int64_t prompt = 128;
  int64_t tokens = 64;
};

struct Stream {
  engine::KvSequence cache;
  std::vector<int32_t> prompt;
  int32_t last = 0;
};

struct BatchTimes {
  double prompt_s = 0.0;
  double decode_s = 0.0;
};

/// Runs `steps` and takes the most likely next token of those streams that asked for logits, in order.
Status RunStep(engine::LanguageModel& model, const std::vector<engine::SequenceStep>& steps,
               const std::vector<Stream*>& sampled, std::vector<float>& logits) {
  const int64_t vocabulary = model.architecture().vocabulary;
  logits.resize(std::max(logits.size(), sampled.size() * vocabulary));
  CONCLAVE_RETURN_IF_ERROR(model.Forward(steps, logits.data()));
  for (size_t i = 0; i < sampled.size(); ++i) {
    const std::span<const float> row(logits.data() + i * vocabulary, vocabulary);
    sampled[i]->last = std::max(0, engine::ArgMax(row));
  }
  return Status::Ok();
}

Status RunPrompts(engine::LanguageModel& model, std::list<Stream>& streams, int64_t step_tokens,
                  std::vector<float>& logits) {
  auto next = streams.begin();
  while (next != streams.end()) {
    std::vector<engine::SequenceStep> steps;
    std::vector<Stream*> sampled;
    for (int64_t budget = step_tokens; budget > 0 && next != streams.end();) {
      const int64_t begin = next->cache.length();
      const auto left = static_cast<int64_t>(next->prompt.size()) - begin;
      const int64_t count = std::min(left, budget);
      steps.push_back({.cache = &next->cache,
                       .tokens = {next->prompt.data() + begin, static_cast<size_t>(count)},
                       .logits_rows = count == left ? 1 : 0});
      budget -= count;
      if (count < left) break;
      sampled.push_back(&*next);
      ++next;
    }
    CONCLAVE_RETURN_IF_ERROR(RunStep(model, steps, sampled, logits));
  }
  return Status::Ok();
}

Result<BatchTimes> MeasureBatch(engine::LanguageModel& model, engine::KvPool& kv, const BatchFlags& flags,
                                int64_t step_tokens) {
  std::list<Stream> streams;
  std::vector<Stream*> all;
  for (int64_t i = 0; i < flags.streams; ++i) {
    streams.push_back({.cache = engine::KvSequence(kv),
                       .prompt = BenchPrompt(flags.prompt, model.architecture().vocabulary, i)});
    CONCLAVE_RETURN_IF_ERROR(streams.back().cache.Reserve(flags.prompt + flags.tokens));
    all.push_back(&streams.back());
  }
  std::vector<float> logits;
  BatchTimes times;
  auto start = BenchClock::now();
  CONCLAVE_RETURN_IF_ERROR(RunPrompts(model, streams, step_tokens, logits));
  times.prompt_s = SecondsSince(start);
  start = BenchClock::now();
  for (int64_t token = 0; token < flags.tokens; ++token) {
    std::vector<engine::SequenceStep> steps;
    for (Stream* stream : all) {
      steps.push_back({.cache = &stream->cache, .tokens = {&stream->last, 1}, .logits_rows = 1});
    }
    CONCLAVE_RETURN_IF_ERROR(RunStep(model, steps, all, logits));
  }
  times.decode_s = SecondsSince(start);
  return times;
}

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
    CONCLAVE_ASSIGN_OR_RETURN(const BatchTimes times,
                              MeasureBatch(*bench.model, *kv, flags, step_tokens));
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
      ->check(CLI::Range(1, 1024));
  command->add_option("--prompt-tokens", flags->prompt, "Prompt tokens of each")
      ->capture_default_str()
      ->check(CLI::Range(1, 100000));
  command->add_option("--tokens,-n", flags->tokens, "Answer tokens of each")
      ->capture_default_str()
      ->check(CLI::Range(1, 100000));
  command->footer("Example: conclave bench batch --streams 16 --prompt-tokens 128 --tokens 64 --json");
  command->callback([flags, &chosen] { chosen = RunBench([flags] { return BenchBatch(*flags); }); });
}

}  // namespace conclave::app
