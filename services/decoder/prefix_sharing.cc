#include "services/decoder/prefix_sharing.h"

#include <algorithm>
#include <utility>

#include "base/sha256.h"

namespace conclave::decoder {

PrefixSharing::PrefixSharing(engine::KvPool& pool, int64_t bytes, std::string model_hash)
    : prefixes_(pool, bytes), model_hash_(std::move(model_hash)) {}

/// A digest of tenant, model and adapter (none yet), each after its length, so that no two run together.
std::string PrefixSharing::Salt(const SequenceRequest& request) const {
  std::string text;
  for (const std::string& part : {request.tenant, model_hash_, std::string()}) {
    text += std::to_string(part.size()) + ':' + part;
  }
  return Sha256::Hex(Sha256::Of(std::as_bytes(std::span(text))));
}

bool PrefixSharing::Place(const SequenceRequest& request, engine::KvSequence& cache) {
  const int64_t longest = static_cast<int64_t>(request.prompt.size()) + request.max_tokens;
  if (prefixes_.most_nodes() > 0) cache.Adopt(prefixes_.Match(Salt(request), request.prompt));
  const int64_t missing = engine::KvBlocksFor(longest) - static_cast<int64_t>(cache.blocks().size());
  if (!prefixes_.MakeRoom(missing)) {
    cache.Clear();
    return false;
  }
  (void)cache.Reserve(longest);  // Cannot fail: the room was just made.
  if (prefixes_.most_nodes() > 0) ++(cache.length() > 0 ? hits_ : misses_);
  return true;
}

void PrefixSharing::Keep(const Sequence& sequence) {
  if (prefixes_.most_nodes() == 0) return;
  std::vector<int32_t> tokens = sequence.request.prompt;
  tokens.insert(tokens.end(), sequence.answer.begin(), sequence.answer.end());
  tokens.resize(sequence.cache.length());  // The last token was sampled, but not computed.
  prefixes_.Insert(Salt(sequence.request), tokens, sequence.cache.blocks());
}

bool PrefixSharing::Prepares(const Sequence& running, const SequenceRequest& request) const {
  if (prefixes_.most_nodes() == 0 || !running.InPrompt()) return false;
  if (running.request.tenant != request.tenant) return false;
  const auto [end, ignored] = std::ranges::mismatch(running.request.prompt, request.prompt);
  const int64_t common = end - running.request.prompt.begin();
  const int64_t usable = std::min(common, static_cast<int64_t>(request.prompt.size()) - 1);
  return usable / engine::kKvBlockTokens > running.cache.length() / engine::kKvBlockTokens;
}

PrefixStatus PrefixSharing::Snapshot() const {
  return {.bytes_used = prefixes_.used_bytes(),
          .hits = hits_,
          .misses = misses_,
          .evictions = prefixes_.evictions()};
}

}  // namespace conclave::decoder
