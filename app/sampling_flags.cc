#include "app/sampling_flags.h"

#include <limits>
#include <string>

#include "app/cli.h"

namespace conclave::app {
void SamplingFlags::Add(CLI::App& command) {
  constexpr uint64_t kMost32 = std::numeric_limits<uint32_t>::max();
  constexpr uint64_t kMost64 = std::numeric_limits<uint64_t>::max();
  command.add_option("--max-tokens,-n", max_tokens, "Most tokens to answer with (default 512)")
      ->check(WholeNumber(1, kMost32));
  command.add_option("--temperature", temperature, "0 is greedy (default: the model's own, else 0.7)");
  command.add_option("--top-k", top_k, "Keep the K most likely tokens; 0 keeps all")
      ->check(WholeNumber(0, kMost32));
  command.add_option("--top-p", top_p, "Keep the smallest set of tokens with this probability");
  command.add_option("--min-p", min_p, "Drop tokens less likely than this share of the best one");
  command.add_option("--repetition-penalty", repetition_penalty,
                     "Above 1 avoids what was said, the prompt too");
  command.add_option("--frequency-penalty", frequency_penalty, "Subtracted for each time a token was said");
  command.add_option("--presence-penalty", presence_penalty, "Subtracted once a token was said");
  command.add_option("--seed", seed, "The same seed gives the same answer")->check(WholeNumber(0, kMost64));
  command.add_option("--stop", stop, "End before this text (repeatable)")->allow_extra_args(false);
  command
      .add_option("--logprobs", logprobs, "With --json: log-probabilities, of the K most likely tokens too")
      ->check(WholeNumber(0, kMost32))
      ->needs(command.get_option("--json"));
  command.add_flag("--ignore-eos", ignore_eos, "Go on to --max-tokens whatever the model says");
}

v1::SamplingParams SamplingFlags::ToWire() const {
  v1::SamplingParams wire;
  if (temperature) wire.set_temperature(*temperature);
  if (top_k) wire.set_top_k(static_cast<uint32_t>(*top_k));
  if (top_p) wire.set_top_p(*top_p);
  if (min_p) wire.set_min_p(*min_p);
  if (repetition_penalty) wire.set_repetition_penalty(*repetition_penalty);
  if (frequency_penalty) wire.set_frequency_penalty(*frequency_penalty);
  if (presence_penalty) wire.set_presence_penalty(*presence_penalty);
  if (seed) wire.set_seed(*seed);
  if (max_tokens) wire.set_max_tokens(static_cast<uint32_t>(*max_tokens));
  if (logprobs) wire.set_logprobs(static_cast<uint32_t>(*logprobs));
  for (const std::string& text : stop) wire.add_stop(text);
  wire.set_ignore_eos(ignore_eos);
  return wire;
}

}  // namespace conclave::app
