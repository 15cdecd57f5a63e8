#include "services/decoder/step_runner.h"

#include <algorithm>
#include <utility>

namespace conclave::decoder {
namespace {

/// A first token passes four to six threads on its way to its reader, while this process computes on.
constexpr int kRegionsBehindFirstTokens = 4;

SampledTokens RankBeam(const Sequence& sequence, std::span<const float> logits,
                       const engine::LogitsSummary& summary) {
  SampledTokens ranked;
  auto row = engine::RankTokens(logits, summary, sequence.request.sampling, sequence.request.prompt,
                                sequence.answer, sequence.beams->candidates());
  if (row.ok()) {
    ranked.beam_row = *std::move(row);
  } else {
    ranked.error = row.status();
  }
  return ranked;
}

/// Draws tokens as long as they are those that were guessed, and one more: exactly those that would have come
/// one at a time, since the rows of logits do not depend on what shares a step, and a row whose guess was
/// wrong is not looked at. `logits`: [1 + drafts, vocabulary]; `summary`: the first row's.
SampledTokens Sample(Sequence& sequence, float* logits, const engine::LogitsSummary& summary,
                     int64_t vocabulary) {
  if (sequence.beams != nullptr) {
    return RankBeam(sequence, {logits, static_cast<size_t>(vocabulary)}, summary);
  }
  const std::span<const int32_t> drafts = sequence.Drafts();
  SampledTokens sampled;
  for (size_t row = 0; row <= drafts.size(); ++row) {
    const std::span<float> of_row(logits + static_cast<int64_t>(row) * vocabulary,
                                  static_cast<size_t>(vocabulary));
    auto token = row == 0 ? sequence.sampler.Next(of_row, summary) : sequence.sampler.Next(of_row);
    if (!token.ok()) {
      sampled.error = token.status();
      break;
    }
    sampled.tokens.push_back(*std::move(token));
    const int32_t said = sampled.tokens.back().token_id;
    if (row == drafts.size() || said != drafts[row] || sequence.EndsWith(said)) break;
  }
  return sampled;
}

/// Where each sequence's rows of logits begin: in the order in which the model makes them, and copies, for
/// sequences without rows of their own, behind all. Returns how many rows that are.
int64_t PlaceRows(const std::vector<Sequence*>& sequences, std::vector<int64_t>& first_rows) {
  int64_t rows = 0;
  first_rows.resize(sequences.size());
  for (const bool copies : {false, true}) {
    for (size_t i = 0; i < sequences.size(); ++i) {
      if ((sequences[i]->prompt_from != nullptr) != copies) continue;
      first_rows[i] = rows;
      rows += 1 + static_cast<int64_t>(sequences[i]->Drafts().size());
    }
  }
  return rows;
}

/// Every sampler needs a row of its own to work on.
void CopySharedRows(const std::vector<Sequence*>& sequences, const std::vector<int64_t>& first_rows,
                    int64_t vocabulary, float* logits) {
  int64_t own = 0;
  for (size_t i = 0; i < sequences.size(); ++i) {
    if (sequences[i]->prompt_from == nullptr) {
      own = first_rows[i];
    } else {
      std::copy_n(logits + own * vocabulary, vocabulary, logits + first_rows[i] * vocabulary);
    }
  }
}

}  // namespace

StepRunner::StepRunner(std::unique_ptr<engine::Transformer> model,
                       std::unique_ptr<engine::FeedForward> feed_forward,
                       std::shared_ptr<engine::ThreadPool> pool)
    : model_(std::move(model)), feed_forward_(std::move(feed_forward)), pool_(std::move(pool)) {}

bool StepRunner::RunStep(Scheduler& scheduler, const std::function<Clock::time_point()>& now) {
  const auto steps = scheduler.Plan(now());
  if (steps.empty()) return false;
  const std::vector<Sequence*>& sequences = scheduler.sampled_sequences();
  const int64_t vocabulary = architecture().vocabulary;
  std::vector<int64_t> first_rows;
  const int64_t rows = PlaceRows(sequences, first_rows);
  if (logits_.size() < static_cast<size_t>(rows * vocabulary)) logits_.resize(rows * vocabulary);

  const Status status = model_->Forward(steps, *feed_forward_, *pool_, logits_.data());
  if (!status.ok()) {
    scheduler.Fail(status);
    return true;
  }
  CopySharedRows(sequences, first_rows, vocabulary, logits_.data());
  const auto summaries = engine::SummariseRows(logits_.data(), vocabulary, first_rows, *pool_);
  std::vector<SampledTokens> sampled(sequences.size());
  pool_->ParallelFor(static_cast<int64_t>(sequences.size()), 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      sampled[i] =
          Sample(*sequences[i], logits_.data() + first_rows[i] * vocabulary, summaries[i], vocabulary);
    }
  });
  const bool first_tokens =
      std::ranges::any_of(sequences, [](const Sequence* sequence) { return sequence->InPrompt(); });
  scheduler.Complete(std::move(sampled), now());
  if (first_tokens) pool_->YieldBefore(kRegionsBehindFirstTokens);
  return true;
}

}  // namespace conclave::decoder
