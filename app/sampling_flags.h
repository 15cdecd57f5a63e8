#pragma once

#include <optional>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>

#include "conclave/v1/common.pb.h"

namespace conclave::app {

/// The sampling parameters as flags; what was not given stays unset, so that the server's defaults hold.
struct SamplingFlags {
  std::optional<double> temperature, top_p, min_p, repetition_penalty, frequency_penalty, presence_penalty;
  std::optional<int64_t> top_k, max_tokens, logprobs;
  std::optional<uint64_t> seed;
  std::vector<std::string> stop;
  bool ignore_eos = false;

  void Add(CLI::App& command);
  v1::SamplingParams ToWire() const;
};

}  // namespace conclave::app
