#pragma once

#include <functional>

#include "base/status.h"
#include "conclave/v1/router.pb.h"

namespace conclave::router {

/// Where the events of one request's answers go. Any thread may call; nothing blocks.
class AnswerSink {
 public:
  virtual ~AnswerSink() = default;
  virtual void Started(v1::AnswerStarted event) = 0;
  virtual void Delta(v1::AnswerDelta event) = 0;
  virtual void Finished(v1::AnswerFinished event) = 0;
  virtual void Failed(v1::AnswerFailed event) = 0;
  /// No answer is left to wait for; the stream ends with Ok.
  virtual void End() = 0;
  /// The stream ends with this error.
  virtual void Fail(const Status& status) = 0;
};

}  // namespace conclave::router
