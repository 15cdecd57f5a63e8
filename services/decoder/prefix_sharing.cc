#include "services/decoder/prefix_sharing.h"

#include <algorithm>
#include <utility>

#include "base/sha256.h"
#include "engine/kernels/kernels.h"

namespace conclave::decoder {

namespace {

/// What an answer, or a beam, does not share with the others to the same prompt.
int64_t OwnBlocks(const SequenceRequest& request) {
  const int64_t longest = request.prompt_tokens() + request.max_tokens;
  return engine::KvBlocksFor(longest) - request.prompt_tokens() / engine::kKvBlockTokens;
}

}  // namespace

int64_t BlocksFor(const SequenceRequest& request) {
  return request.prompt_tokens() / engine::kKvBlockTokens + request.width() * OwnBlocks(request);
}

PrefixSharing::PrefixSharing(engine::KvPool& pool, int64_t bytes, std::string model_hash,
                             std::shared_ptr<KvDiskTier> disk)
    : pool_(pool),
      disk_(std::move(disk)),
      keys_(pool.layout(), engine::BestKernels().name),
      prefixes_(pool, bytes),
      model_hash_(std::move(model_hash)) {
  if (disk_ == nullptr) return;
  prefixes_.OnEvict([this](std::string_view salt, std::span<const int32_t> tokens, int32_t block) {
    MoveToDisk(salt, tokens, block);
  });
}

/// A digest of tenant, model and adapter (none yet), each after its length, so that no two run together.
std::string PrefixSharing::Salt(const SequenceRequest& request) const {
  std::string text;
  for (const std::string& part : {request.tenant, model_hash_, std::string()}) {
    text += std::to_string(part.size()) + ':' + part;
  }
  return Sha256::Hex(Sha256::Of(std::as_bytes(std::span(text))));
}

std::vector<engine::KvSequence> PrefixSharing::Place(const SequenceRequest& request) {
  std::vector<engine::KvSequence> places;
  places.reserve(request.width());
  engine::KvSequence& first = places.emplace_back(prefixes_.pool());
  if (prefixes_.most_nodes() > 0) first.Adopt(prefixes_.Match(Salt(request), request.prompt));
  if (!prefixes_.MakeRoom(BlocksFor(request) - static_cast<int64_t>(first.blocks().size()))) return {};
  // Reserving cannot fail: the room was just made.
  (void)first.Reserve(request.prompt_tokens() + request.max_tokens);
  for (int64_t i = 1; i < request.width(); ++i) {
    (void)places.emplace_back(prefixes_.pool()).Reserve(OwnBlocks(request) * engine::kKvBlockTokens);
  }
  if (prefixes_.most_nodes() > 0) ++(first.length() > 0 ? hits_ : misses_);
  return places;
}

std::span<const std::byte> PrefixSharing::BytesOf(int32_t block) {
  return {pool_.Block(block), static_cast<size_t>(pool_.layout().block_bytes())};
}

void PrefixSharing::MoveToDisk(std::string_view salt, std::span<const int32_t> tokens, int32_t block) {
  const std::span<const std::byte> bytes = BytesOf(block);
  if (!disk_->TakesWrites(bytes.size())) return;
  std::string key = keys_.Of(salt, tokens).back();
  if (!disk_->store().Contains(key)) disk_->Write(std::move(key), bytes);
}

/// The place has room for the whole prompt, so the blocks are read to where they belong.
void PrefixSharing::StartLoad(Sequence& sequence) {
  if (disk_ == nullptr || prefixes_.most_nodes() == 0) return;
  const std::vector<int32_t>& prompt = sequence.request.prompt;
  const int64_t known = sequence.cache.length() / engine::kKvBlockTokens;
  const int64_t wanted = (static_cast<int64_t>(prompt.size()) - 1) / engine::kKvBlockTokens;
  if (known >= wanted) return;
  const std::span<const int32_t> usable = std::span(prompt).first(wanted * engine::kKvBlockTokens);
  std::vector<std::string> keys = keys_.Of(Salt(sequence.request), usable);
  keys.erase(std::find_if(keys.begin() + known, keys.end(),
                          [&](const std::string& key) { return !disk_->store().Contains(key); }),
             keys.end());
  const int64_t stored = static_cast<int64_t>(keys.size()) - known;
  if (stored == 0) {
    ++disk_misses_;
    return;
  }
  std::vector<std::byte*> blocks;
  for (int64_t i = 0; i < stored; ++i) blocks.push_back(pool_.Block(sequence.cache.blocks()[known + i]));
  sequence.load = disk_->Load(std::move(keys), static_cast<size_t>(known), std::move(blocks),
                              static_cast<size_t>(pool_.layout().block_bytes()));
}

int64_t PrefixSharing::FinishLoad(Sequence& sequence) {
  const int64_t tokens = sequence.load->End() * engine::kKvBlockTokens;
  sequence.load.reset();
  ++(tokens > 0 ? disk_hits_ : disk_misses_);
  sequence.cache.Advance(tokens);
  sequence.cached_prompt_tokens += tokens;
  Keep(sequence);
  return tokens;
}

void PrefixSharing::Save(std::chrono::milliseconds longest) {
  if (disk_ == nullptr) return;
  const Clock::time_point end = Clock::now() + longest;
  bool works = true;
  std::vector<std::string> keys;
  prefixes_.VisitNewestFirst(
      [&](std::string_view salt, std::span<const int32_t> tokens, int32_t block) {
        keys.push_back(keys_.Of(salt, tokens).back());
        works = disk_->WriteNow(keys.back(), BytesOf(block));
      },
      [&] { return works && Clock::now() < end; });
  disk_->TouchNow(keys);
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

PrefixDiskStatus PrefixSharing::DiskSnapshot() const {
  if (disk_ == nullptr) return {};
  return {.bytes_used = disk_->store().bytes(),
          .hits = disk_hits_,
          .misses = disk_misses_,
          .evictions = disk_->store().evictions(),
          .errors = disk_->errors()};
}

}  // namespace conclave::decoder
