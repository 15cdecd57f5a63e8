#pragma once

#include "conclave/v1/feedback.pb.h"

namespace conclave::feedback {

/// Whether a vote calls its answer good or bad on its own.
enum class Verdict { kNone, kGood, kBad };

/// Thumbs as they say; 4 and 5 stars are good, 1 and 2 bad, 3 neither. Comparisons and corrections are none:
/// they speak of two texts.
inline Verdict VerdictOf(const v1::Vote& vote) {
  if (vote.thumb() == v1::THUMB_GOOD || vote.stars() >= 4) return Verdict::kGood;
  if (vote.thumb() == v1::THUMB_BAD || vote.stars() == 1 || vote.stars() == 2) return Verdict::kBad;
  return Verdict::kNone;
}

inline Verdict Opposite(Verdict verdict) {
  if (verdict == Verdict::kNone) return Verdict::kNone;
  return verdict == Verdict::kGood ? Verdict::kBad : Verdict::kGood;
}

}  // namespace conclave::feedback
