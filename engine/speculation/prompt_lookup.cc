#include "engine/speculation/prompt_lookup.h"

#include <algorithm>
#include <random>

namespace conclave::engine {
namespace {

constexpr int64_t kLongestNgram = 3;
constexpr int64_t kShortestNgram = 2;
/// Wrong guesses in a row until a sequence rests, and for how many steps it rests at most.
constexpr int64_t kFailuresBeforeRest = 3;
constexpr int64_t kLongestRest = 64;

uint64_t RandomSeed() {
  std::random_device device;
  return uint64_t{device()} << 32 | device();
}

/// The finaliser of SplitMix64 (Steele, Lea and Flood 2014).
uint64_t Mix(uint64_t x) {
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
  return x ^ (x >> 31);
}

/// The last `length` of the first `end` tokens.
std::array<int32_t, 3> NgramBefore(std::span<const int32_t> text, int64_t end, int64_t length) {
  std::array<int32_t, 3> ngram{-1, -1, -1};
  std::copy_n(text.begin() + (end - length), length, ngram.end() - length);
  return ngram;
}

}  // namespace

size_t PromptLookup::Hash::operator()(const Ngram& ngram) const {
  uint64_t hash = seed;
  for (const int32_t token : ngram) hash = Mix(hash + static_cast<uint32_t>(token));
  return hash;
}

PromptLookup::PromptLookup() : after_(0, Hash{RandomSeed()}) {}

void PromptLookup::Append(std::span<const int32_t> tokens) {
  for (const int32_t token : tokens) {
    const auto end = static_cast<int64_t>(text_.size());
    for (int64_t length = kShortestNgram; length <= std::min(kLongestNgram, end); ++length) {
      after_[NgramBefore(text_, end, length)] = static_cast<int32_t>(end);
    }
    text_.push_back(token);
  }
}

std::vector<int32_t> PromptLookup::Draft(int64_t most) const {
  const auto end = static_cast<int64_t>(text_.size());
  for (int64_t length = std::min(kLongestNgram, end); length >= kShortestNgram; --length) {
    const auto found = after_.find(NgramBefore(text_, end, length));
    if (found == after_.end()) continue;
    const int64_t count = std::clamp<int64_t>(most, 0, end - found->second);
    const auto first = text_.begin() + found->second;
    return {first, first + count};
  }
  return {};
}

int64_t DraftBudget::Next() {
  if (rest_ == 0) return next_;
  --rest_;
  return 0;
}

void DraftBudget::Learn(int64_t drafted, int64_t accepted) {
  if (accepted == drafted) {
    next_ = std::min(most_, next_ * 2);
    failures_ = 0;
  } else if (accepted > 0) {
    next_ = std::max<int64_t>(accepted, 1);
    failures_ = 0;
  } else {
    next_ = 1;
    ++failures_;
    if (failures_ >= kFailuresBeforeRest) {
      rest_ = std::min<int64_t>(kLongestRest,
                                int64_t{4} << std::min<int64_t>(failures_ - kFailuresBeforeRest, 10));
    }
  }
}

}  // namespace conclave::engine
