#pragma once

#include <cstdint>

#include "base/result.h"

namespace conclave::engine {

/// What the caller wants of a dense feed-forward block. The defaults are those that docs/experts.md measures
/// as a fair trade.
struct ExpertWish {
  int64_t experts = 8;  ///< that a router chooses among; at least 2
  int64_t chosen = 6;   ///< by each token; from 1 to all
  double shared = 0.0;  ///< which share of the neurons every token uses; from 0 to below 1
};

/// How its neurons are shared out.
struct ExpertShape {
  int64_t experts = 0;
  int64_t chosen = 0;
  int64_t width = 0;         ///< of each expert
  int64_t shared_width = 0;  ///< of the one that every token uses; 0: there is none

  int64_t inner() const { return experts * width + shared_width; }
  /// Which share of the neurons a token uses.
  double active_share() const {
    return static_cast<double>(chosen * width + shared_width) / static_cast<double>(inner());
  }
};

/// The shape nearest to the wish whose widths are whole blocks of `block` columns. Rounding goes to the
/// shared expert; without one (a share of 0) the block must divide evenly. Errors: INVALID_ARGUMENT that
/// names what is possible.
Result<ExpertShape> ShapeExperts(const ExpertWish& wish, int64_t inner, int64_t block);

}  // namespace conclave::engine
