#include "app/bare_batch.h"

#include <algorithm>
#include <list>
#include <vector>

#include "app/bench_report.h"

namespace conclave::app {
namespace {

struct Stream {
  engine::KvSequence cache;
  std::vector<int32_t> prompt;
  int32_t last = 0;
};

/// Runs `steps` and takes the most likely next token of those streams that asked for logits, in order.
Status RunStep(engine::LanguageModel& model, engine::FeedForward& feed_forward,
               const std::vector<engine::SequenceStep>& steps, const std::vector<Stream*>& sampled,
               std::vector<float>& logits) {
  const int64_t vocabulary = model.architecture().vocabulary;
  logits.resize(std::max(logits.size(), sampled.size() * vocabulary));
  CONCLAVE_RETURN_IF_ERROR(model.Forward(steps, feed_forward, logits.data()));
  for (size_t i = 0; i < sampled.size(); ++i) {
    const std::span<const float> row(logits.data() + i * vocabulary, vocabulary);
    CONCLAVE_ASSIGN_OR_RETURN(sampled[i]->last, LikeliestToken(row));
  }
  return Status::Ok();
}

Status RunPrompts(engine::LanguageModel& model, engine::FeedForward& feed_forward, std::list<Stream>& streams,
                  int64_t step_tokens, std::vector<float>& logits) {
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
    CONCLAVE_RETURN_IF_ERROR(RunStep(model, feed_forward, steps, sampled, logits));
  }
  return Status::Ok();
}

}  // namespace

Result<BatchTimes> RunBareBatch(engine::LanguageModel& model, engine::FeedForward& feed_forward,
                                engine::KvPool& kv, const BatchShape& shape, int64_t step_tokens) {
  std::list<Stream> streams;
  std::vector<Stream*> all;
  for (int64_t i = 0; i < shape.streams; ++i) {
    streams.push_back({.cache = engine::KvSequence(kv),
                       .prompt = BenchPrompt(shape.prompt, model.architecture().vocabulary, i)});
    CONCLAVE_RETURN_IF_ERROR(streams.back().cache.Reserve(shape.prompt + shape.tokens));
    all.push_back(&streams.back());
  }
  std::vector<float> logits;
  BatchTimes times;
  auto start = BenchClock::now();
  CONCLAVE_RETURN_IF_ERROR(RunPrompts(model, feed_forward, streams, step_tokens, logits));
  times.prompt_s = SecondsSince(start);
  start = BenchClock::now();
  for (int64_t token = 0; token < shape.tokens; ++token) {
    std::vector<engine::SequenceStep> steps;
    for (Stream* stream : all) {
      steps.push_back({.cache = &stream->cache, .tokens = {&stream->last, 1}, .logits_rows = 1});
    }
    CONCLAVE_RETURN_IF_ERROR(RunStep(model, feed_forward, steps, all, logits));
  }
  times.decode_s = SecondsSince(start);
  return times;
}

}  // namespace conclave::app
