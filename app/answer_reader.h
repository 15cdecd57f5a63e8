#pragma once

#include <functional>
#include <string>
#include <vector>

#include <grpcpp/grpcpp.h>
#include <nlohmann/json.hpp>

#include "base/result.h"
#include "conclave/v1/router.grpc.pb.h"

namespace conclave::app {

/// One answer, with everything its events said.
struct Answer {
  v1::AnswerStarted started;
  v1::AnswerFinished finished;
  std::string text;
  std::vector<int32_t> token_ids;
  std::vector<v1::PositionLogprobs> logprobs;
  Status error;  ///< of several answers, this one's failure
};

using OnStarted = std::function<void(const v1::AnswerStarted&)>;
using OnText = std::function<void(const std::string&)>;

/// Asks and reads the whole answers, as many as the request names and at least one; `on_text` sees each part
/// as it comes, of several answers interleaved. Blocks; another thread may cancel `context`.
Result<std::vector<Answer>> AskChat(v1::RouterService::StubInterface& router, grpc::ClientContext& context,
                                    const v1::ChatRequest& request, const OnText& on_text,
                                    const OnStarted& on_started = {});
Result<std::vector<Answer>> AskComplete(v1::RouterService::StubInterface& router,
                                        grpc::ClientContext& context, const v1::CompleteRequest& request,
                                        const OnText& on_text);

/// "stop", "length" or "cancelled".
std::string FinishReasonName(v1::FinishReason reason);

/// An entry for each token: `token_id`, `logprob`, and `top` with the most likely tokens there.
nlohmann::json LogprobsJson(const Answer& answer);

}  // namespace conclave::app
