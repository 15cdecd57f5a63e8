#include "app/bench_report.h"

#include <algorithm>
#include <iostream>

#include "app/bench_text.h"
#include "app/engine_pool.h"
#include "app/json_line.h"
#include "engine/sampling/arg_max.h"
#include "services/decoder/kv_format.h"

namespace conclave::app {

void BenchFlags::Add(CLI::App& command) {
  common.AddModel(command);
  common.AddJson(command);
  command.add_option("--repeats", repeats, "The median of so many runs is reported")
      ->capture_default_str()
      ->check(WholeNumber(1, 1000));
}

void AddSequenceLength(CLI::App& command, int64_t& prompt, int64_t& tokens, int64_t least_tokens) {
  constexpr int64_t kMostTokens = 100'000;
  command.add_option("--prompt-tokens", prompt, "Prompt tokens of each")
      ->capture_default_str()
      ->check(WholeNumber(1, kMostTokens));
  command.add_option("--tokens,-n", tokens, "Answer tokens of each")
      ->capture_default_str()
      ->check(WholeNumber(least_tokens, kMostTokens));
}

void PrintFigure(const BenchFigure& figure, bool json) {
  nlohmann::json limit, share;
  if (figure.limit.has_value()) {
    limit = *figure.limit;
    share = figure.value / *figure.limit;
  }
  if (json) {
    PrintLine(JsonLine({{"name", figure.name},
                        {"value", figure.value},
                        {"unit", figure.unit},
                        {"limit", limit},
                        {"share_of_limit", share},
                        {"details", figure.details}}));
    return;
  }
  std::cout << figure.name << ": " << ShortNumber(figure.value) << " " << figure.unit;
  if (figure.limit.has_value() && *figure.limit != 1.0) {  // A share of one is its own.
    std::cout << ", " << ShortNumber(100.0 * figure.value / *figure.limit) << "% of the "
              << ShortNumber(*figure.limit) << " that this machine allows";
  }
  std::cout << "\n" << DetailLines(figure.details) << std::flush;
}

Result<int32_t> LikeliestToken(std::span<const float> logits) {
  const int32_t token = engine::ArgMax(logits);
  if (token < 0) return Internal("the model's numbers are not finite; its weights are damaged");
  return token;
}

double SecondsSince(BenchClock::time_point start) {
  return std::chrono::duration<double>(BenchClock::now() - start).count();
}

double Median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

Result<BenchModel> BenchModel::Load(const CommonFlags& flags, int64_t tokens) {
  BenchModel loaded;
  CONCLAVE_ASSIGN_OR_RETURN(loaded.config, flags.LoadConfig());
  CONCLAVE_ASSIGN_OR_RETURN(loaded.source, FindModel(loaded.config));
  loaded.pool = NewEnginePool(loaded.config);
  CONCLAVE_ASSIGN_OR_RETURN(loaded.model, engine::LanguageModel::Load(loaded.source.path, tokens, loaded.pool,
                                                                      decoder::KvFormatOf(loaded.config)));
  const int64_t context = loaded.model->architecture().context;
  if (context < tokens) {
    return InvalidArgument("a sequence of " + std::to_string(tokens) +
                           " tokens is longer than the model's context of " + std::to_string(context));
  }
  return loaded;
}

nlohmann::json BenchModel::Details() const {
  return {{"model", source.name},
          {"model_hash", source.hash},
          {"kernels", engine::BestKernels().name},
          {"threads", pool->size()},
          {"kv_type", engine::KvFormatName(model->kv().layout().format)},
          {"kv_bytes_per_token", model->kv().layout().block_bytes() / engine::kKvBlockTokens},
          {"weight_bytes", model->weight_bytes()}};
}

std::vector<int32_t> BenchPrompt(int64_t tokens, int64_t vocabulary, int64_t seed) {
  std::vector<int32_t> prompt(tokens);
  for (int64_t i = 0; i < tokens; ++i)
    prompt[i] = static_cast<int32_t>((i * 37 + seed * 101 + 11) % vocabulary);
  return prompt;
}

ArithmeticLimit ArithmeticLimit::Measure(engine::ThreadPool& pool) {
  ArithmeticLimit limit;
  limit.int8_ = engine::MeasurePeak(engine::Arithmetic::kInt8, pool);
  limit.fp32_ = engine::MeasurePeak(engine::Arithmetic::kFp32, pool);
  return limit;
}

double ArithmeticLimit::Seconds(const engine::WeightStream::Products& products) const {
  return 2.0 * static_cast<double>(products.int8) / int8_.operations_per_s.best +
         2.0 * static_cast<double>(products.floats) / fp32_.operations_per_s.best;
}

nlohmann::json ArithmeticLimit::Details() const {
  return {{"int8_operations_per_s", int8_.operations_per_s.best},
          {"int8_instruction", int8_.instruction},
          {"fp32_operations_per_s", fp32_.operations_per_s.best},
          {"fp32_instruction", fp32_.instruction}};
}

}  // namespace conclave::app
