#include "engine/upcycle/expert_shape.h"

#include <algorithm>
#include <cmath>
#include <string>

#include "engine/model/limits.h"

namespace conclave::engine {
namespace {

Status CheckWish(const ExpertWish& wish) {
  if (wish.experts < 2 || wish.experts > kMaxExperts) {
    return InvalidArgument(std::to_string(wish.experts) + " experts; 2 to " + std::to_string(kMaxExperts) +
                           " are possible (--experts)");
  }
  if (wish.chosen < 1 || wish.chosen > wish.experts) {
    return InvalidArgument("a token cannot use " + std::to_string(wish.chosen) + " of " +
                           std::to_string(wish.experts) + " experts; 1 to " + std::to_string(wish.experts) +
                           " are possible (--top-k)");
  }
  if (!(wish.shared >= 0.0 && wish.shared < 1.0)) {
    return InvalidArgument("the shared expert's part is from 0 to below 1 (--shared)");
  }
  return Status::Ok();
}

/// The largest number of experts up to `wanted` that whole blocks divide into.
int64_t FittingExperts(int64_t wanted, int64_t blocks) {
  for (int64_t experts = std::min(wanted, blocks); experts > 1; --experts) {
    if (blocks % experts == 0) return experts;
  }
  return 1;
}

}  // namespace

Result<ExpertShape> ShapeExperts(const ExpertWish& wish, int64_t inner, int64_t block) {
  CONCLAVE_RETURN_IF_ERROR(CheckWish(wish));
  const std::string blocks_text = "blocks of " + std::to_string(block) + " neurons";
  if (inner % block != 0) {
    return InvalidArgument("the feed-forward width of " + std::to_string(inner) + " is not whole " +
                           blocks_text);
  }
  const int64_t blocks = inner / block;
  if (wish.experts > blocks) {
    return InvalidArgument("the feed-forward width of " + std::to_string(inner) + " has " +
                           std::to_string(blocks) + " " + blocks_text + ", too few for " +
                           std::to_string(wish.experts) + " experts (--experts)");
  }
  if (wish.shared == 0.0 && blocks % wish.experts != 0) {
    return InvalidArgument(std::to_string(blocks) + " " + blocks_text + " do not divide evenly among " +
                           std::to_string(wish.experts) + " experts; --experts " +
                           std::to_string(FittingExperts(wish.experts, blocks)) +
                           " fits, or a shared expert takes the rest (--shared)");
  }
  const double routed = (1.0 - wish.shared) * static_cast<double>(blocks);
  const auto per_expert =
      std::clamp<int64_t>(std::llround(routed / static_cast<double>(wish.experts)), 1, blocks / wish.experts);
  return ExpertShape{.experts = wish.experts,
                     .chosen = wish.chosen,
                     .width = per_expert * block,
                     .shared_width = inner - wish.experts * per_expert * block};
}

}  // namespace conclave::engine
